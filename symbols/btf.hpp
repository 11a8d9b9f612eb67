// BTF: the kernel's own description of its structures. [Documentation/bpf/btf.rst of Linux]
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "symbols/kernel_image.hpp"
#include "symbols/result.hpp"

namespace swat::symbols {

class Btf {
 public:
  // A whole .BTF section. Every type id, offset and count in it is checked.
  [[nodiscard]] static Result<Btf> parse(std::span<const std::byte> section);
  // vmlinux's .BTF inside a kernel image; split BTF of modules is passed over.
  [[nodiscard]] static Result<Btf> find(const KernelImage& image);

  struct Member {
    std::uint32_t offset_bytes;
    std::uint32_t size_bytes;
  };
  // `path` is a member path: "mm", "thread_info.flags"; anonymous members are seen through.
  // kNotFound when the structure or the member does not exist in this kernel.
  [[nodiscard]] Result<Member> member(std::string_view structure, std::string_view path) const;
  [[nodiscard]] Result<std::uint32_t> size_of(std::string_view structure) const;

  Btf(Btf&&) noexcept;
  Btf& operator=(Btf&&) noexcept;
  ~Btf();

 private:
  struct Impl;
  explicit Btf(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace swat::symbols
