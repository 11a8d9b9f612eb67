#include "osmodels/windows/kernel_objects.hpp"

#include <algorithm>
#include <utility>

#include "osmodels/windows/loader_list.hpp"

namespace swat::os::windows {
namespace {

// Ascending by build. The mask of optional parts came with the types' numbers.
constexpr ObjectShape kShapes[] = {
    {4, 2600, 0x08, 0, false, 0x0c, 0, 0x40, 0x4c, 0x30},
    {4, 6001, 0x08, 0, false, 0x0c, 0, 0x08, 0x14, 0x30},
    {4, 7600, 0, 0x0c, false, 0, 0x0e, 0x08, 0x14, 0x30},
    {4, 10240, 0, 0x0c, true, 0, 0x0e, 0x08, 0x14, 0x30},
    {8, 3790, 0x10, 0, false, 0x18, 0, 0x78, 0x90, 0x58},
    {8, 6001, 0x10, 0, false, 0x18, 0, 0x10, 0x28, 0x58},
    {8, 7600, 0, 0x18, false, 0, 0x1a, 0x10, 0x28, 0x58},
    {8, 10240, 0, 0x18, true, 0, 0x1a, 0x10, 0x28, 0x58},
};

// Types that the kernel exports, as pointers to them.
constexpr std::string_view kTypePointers[] = {"CmKeyObjectType",
                                              "ExDesktopObjectType",
                                              "ExEventObjectType",
                                              "ExSemaphoreObjectType",
                                              "ExTimerObjectType",
                                              "ExWindowStationObjectType",
                                              "IoAdapterObjectType",
                                              "IoCompletionObjectType",
                                              "IoDeviceHandlerObjectType",
                                              "IoDeviceObjectType",
                                              "IoDriverObjectType",
                                              "IoFileObjectType",
                                              "LpcPortObjectType",
                                              "LpcWaitablePortObjectType",
                                              "MmSectionObjectType",
                                              "PsJobType",
                                              "PsProcessType",
                                              "PsThreadType",
                                              "SeTokenObjectType",
                                              "TmEnlistmentObjectType",
                                              "TmResourceManagerObjectType",
                                              "TmTransactionManagerObjectType",
                                              "TmTransactionObjectType",
                                              "DbgkDebugObjectType"};
constexpr std::string_view kProcessType = "PsProcessType";

constexpr std::uint8_t kHasCreator = 1;  // InfoMask: the part next to the header
constexpr std::uint8_t kHasName = 2;     // the one in front of it
constexpr unsigned kDeepest = 16;        // of directories

}  // namespace

const ObjectShape* find_object_shape(std::uint32_t build, unsigned word_bytes) {
  const ObjectShape* found = nullptr;
  for (const ObjectShape& shape : kShapes) {
    if (shape.word_bytes == word_bytes && shape.first_build <= build) found = &shape;
  }
  return found;
}

// The cookie: by what the System process is known to be.
KernelObjects::KernelObjects(const KernelSpace& kernel, const ObjectShape& shape,
                             const FindExport& find_export, Va system, DriveOf drive_of)
    : kernel_(kernel), shape_(shape), drive_of_(std::move(drive_of)) {
  if (shape_.type_pointer != 0) return;
  for (const std::string_view name : kTypePointers) {
    const auto pointer_at = find_export(name);
    if (!pointer_at) continue;
    const auto type = read_pointer(kernel_.memory, *pointer_at, kernel_.word_bytes);
    if (!type || !kernel_.is_pointer(Va{*type})) continue;
    const auto number = read_as<std::uint8_t>(kernel_.memory, Va{*type} + shape_.number_of_type);
    auto called =
        read_unicode_string(kernel_.memory, Va{*type} + shape_.name_of_type, kernel_.word_bytes);
    if (!number || !called) continue;
    types_.emplace(*number, *std::move(called));
    if (name != kProcessType) continue;
    const auto disguised = number_of(system - object_header_bytes(kernel_.word_bytes));
    if (disguised && shape_.is_disguised) cookie_ = *disguised ^ *number;
  }
}

Result<std::uint8_t> KernelObjects::number_of(Va header) const {
  const auto number = SWAT_TRY(read_as<std::uint8_t>(kernel_.memory, header + shape_.type_number));
  if (!shape_.is_disguised) return number;
  return static_cast<std::uint8_t>(number ^ cookie_ ^ (header.value >> 8 & 0xff));
}

Result<std::string> KernelObjects::type_of(Va header) const {
  if (shape_.type_pointer == 0) {
    const auto known = types_.find(SWAT_TRY(number_of(header)));
    return known == types_.end() ? std::string() : known->second;
  }
  const Va type{
      SWAT_TRY(read_pointer(kernel_.memory, header + shape_.type_pointer, kernel_.word_bytes))};
  return read_unicode_string(kernel_.memory, type + shape_.name_of_type, kernel_.word_bytes);
}

// OBJECT_HEADER_NAME_INFO and OBJECT_HEADER_CREATOR_INFO are of four words both.
Result<Va> KernelObjects::name_info(Va header) const {
  const std::uint64_t part = 4 * std::uint64_t{kernel_.word_bytes};
  if (shape_.name_distance != 0) {
    const auto distance =
        SWAT_TRY(read_as<std::uint8_t>(kernel_.memory, header + shape_.name_distance));
    return distance == 0 ? Va{} : header - distance;
  }
  const auto mask = SWAT_TRY(read_as<std::uint8_t>(kernel_.memory, header + shape_.parts_mask));
  if ((mask & kHasName) == 0) return Va{};
  return header - part - ((mask & kHasCreator) != 0 ? part : 0);
}

// From the object up through the directories that it is in; the topmost is called "\".
Result<std::string> KernelObjects::path_of(Va header) const {
  const unsigned word = kernel_.word_bytes;
  std::string path;
  for (unsigned depth = 0; depth < kDeepest; ++depth) {
    const Va info = SWAT_TRY(name_info(header));
    if (info.is_null()) break;
    const auto part = SWAT_TRY(read_unicode_string(kernel_.memory, info + word, word));
    if (part == "\\") break;
    path.insert(0, path.empty() ? part : part + "\\");
    const Va directory{SWAT_TRY(read_pointer(kernel_.memory, info, word))};
    if (directory.is_null()) return path;
    if (!kernel_.is_pointer(directory)) return fail(Errc::kBadImage, "no directory", info.value);
    header = directory - object_header_bytes(word);
  }
  return path.empty() ? path : "\\" + path;
}

// A path on its volume, behind what the volume is called.
Result<std::string> KernelObjects::file_name(Va body) const {
  const unsigned word = kernel_.word_bytes;
  auto path = SWAT_TRY(read_unicode_string(kernel_.memory, body + shape_.file_name, word));
  // FILE_OBJECT has its type and size, 16 bits each, before that.
  const Va device{SWAT_TRY(read_pointer(kernel_.memory, body + word, word))};
  if (!kernel_.is_pointer(device)) return path;
  const std::string drive = drive_of_(device);
  if (!drive.empty()) return drive + path;
  return path_of(device - object_header_bytes(word)).value_or("") + path;
}

Result<std::string> KernelObjects::process_name(Va body) const {
  const Process process = SWAT_TRY(read_process(kernel_, body)).process;
  return process.name + "/" + std::to_string(process.pid);
}

Result<std::string> KernelObjects::thread_name(Va body) const {
  const unsigned word = kernel_.word_bytes;
  const Va id = body + kernel_.offsets.thread_client_id.value_or(0);
  const auto pid = SWAT_TRY(read_pointer(kernel_.memory, id, word));
  const auto tid = SWAT_TRY(read_pointer(kernel_.memory, id + word, word));
  return std::to_string(pid) + "/" + std::to_string(tid);
}

Result<KernelObjects::Description> KernelObjects::describe(Va header) {
  using Name = Result<std::string> (KernelObjects::*)(Va) const;
  constexpr std::pair<std::string_view, Name> kOwnNames[] = {
      {"File", &KernelObjects::file_name},
      {"Process", &KernelObjects::process_name},
      {"Thread", &KernelObjects::thread_name}};
  Description what{SWAT_TRY(type_of(header)), {}};
  const auto own =
      std::ranges::find(kOwnNames, what.type, &std::pair<std::string_view, Name>::first);
  if (own != std::end(kOwnNames)) {
    what.name = SWAT_TRY((this->*own->second)(header + object_header_bytes(kernel_.word_bytes)));
  } else {
    what.name = SWAT_TRY(path_of(header));
  }
  if (what.type.size() > kMostBytes || what.name.size() > kMostBytes) {
    return fail(Errc::kBadImage, "long name of an object", header.value);
  }
  return what;
}

}  // namespace swat::os::windows
