#include "osmodels/windows/constants.hpp"

#include <algorithm>

namespace swat::os::windows {
namespace {

constexpr Constant kStatuses[] = {
#include "osmodels/windows/ntstatus_names.inc"
};

// --- By the name of a parameter

constexpr Constant kProtections[] = {{0x01, "PAGE_NOACCESS"},
                                     {0x02, "PAGE_READONLY"},
                                     {0x04, "PAGE_READWRITE"},
                                     {0x08, "PAGE_WRITECOPY"},
                                     {0x10, "PAGE_EXECUTE"},
                                     {0x20, "PAGE_EXECUTE_READ"},
                                     {0x40, "PAGE_EXECUTE_READWRITE"},
                                     {0x80, "PAGE_EXECUTE_WRITECOPY"},
                                     {0x100, "PAGE_GUARD"},
                                     {0x200, "PAGE_NOCACHE"},
                                     {0x400, "PAGE_WRITECOMBINE"},
                                     {0x40000000, "PAGE_TARGETS_INVALID"}};
constexpr Constant kAllocations[] = {
    {0x1000, "MEM_COMMIT"},          {0x2000, "MEM_RESERVE"},      {0x4000, "MEM_DECOMMIT"},
    {0x8000, "MEM_RELEASE"},         {0x80000, "MEM_RESET"},       {0x100000, "MEM_TOP_DOWN"},
    {0x200000, "MEM_WRITE_WATCH"},   {0x400000, "MEM_PHYSICAL"},   {0x1000000, "MEM_RESET_UNDO"},
    {0x20000000, "MEM_LARGE_PAGES"}, {0x80000000, "MEM_4MB_PAGES"}};
constexpr Constant kSections[] = {{0x800000, "SEC_FILE"},
                                  {0x1000000, "SEC_IMAGE"},
                                  {0x2000000, "SEC_PROTECTED_IMAGE"},
                                  {0x4000000, "SEC_RESERVE"},
                                  {0x8000000, "SEC_COMMIT"},
                                  {0x10000000, "SEC_NOCACHE"},
                                  {0x40000000, "SEC_WRITECOMBINE"},
                                  {0x80000000, "SEC_LARGE_PAGES"}};
constexpr Constant kShares[] = {
    {1, "FILE_SHARE_READ"}, {2, "FILE_SHARE_WRITE"}, {4, "FILE_SHARE_DELETE"}};
constexpr Constant kDispositions[] = {{0, "FILE_SUPERSEDE"}, {1, "FILE_OPEN"},
                                      {2, "FILE_CREATE"},    {3, "FILE_OPEN_IF"},
                                      {4, "FILE_OVERWRITE"}, {5, "FILE_OVERWRITE_IF"}};
constexpr Constant kFileOptions[] = {
    {0x1, "FILE_DIRECTORY_FILE"},         {0x2, "FILE_WRITE_THROUGH"},
    {0x4, "FILE_SEQUENTIAL_ONLY"},        {0x8, "FILE_NO_INTERMEDIATE_BUFFERING"},
    {0x10, "FILE_SYNCHRONOUS_IO_ALERT"},  {0x20, "FILE_SYNCHRONOUS_IO_NONALERT"},
    {0x40, "FILE_NON_DIRECTORY_FILE"},    {0x80, "FILE_CREATE_TREE_CONNECTION"},
    {0x100, "FILE_COMPLETE_IF_OPLOCKED"}, {0x200, "FILE_NO_EA_KNOWLEDGE"},
    {0x800, "FILE_RANDOM_ACCESS"},        {0x1000, "FILE_DELETE_ON_CLOSE"},
    {0x2000, "FILE_OPEN_BY_FILE_ID"},     {0x4000, "FILE_OPEN_FOR_BACKUP_INTENT"},
    {0x8000, "FILE_NO_COMPRESSION"},      {0x200000, "FILE_OPEN_REPARSE_POINT"},
    {0x400000, "FILE_OPEN_NO_RECALL"}};
constexpr Constant kFileAttributes[] = {
    {0x1, "FILE_ATTRIBUTE_READONLY"},        {0x2, "FILE_ATTRIBUTE_HIDDEN"},
    {0x4, "FILE_ATTRIBUTE_SYSTEM"},          {0x10, "FILE_ATTRIBUTE_DIRECTORY"},
    {0x20, "FILE_ATTRIBUTE_ARCHIVE"},        {0x80, "FILE_ATTRIBUTE_NORMAL"},
    {0x100, "FILE_ATTRIBUTE_TEMPORARY"},     {0x200, "FILE_ATTRIBUTE_SPARSE_FILE"},
    {0x400, "FILE_ATTRIBUTE_REPARSE_POINT"}, {0x800, "FILE_ATTRIBUTE_COMPRESSED"},
    {0x1000, "FILE_ATTRIBUTE_OFFLINE"},      {0x4000, "FILE_ATTRIBUTE_ENCRYPTED"}};
constexpr Constant kObjectAttributes[] = {
    {0x2, "OBJ_INHERIT"},         {0x10, "OBJ_PERMANENT"},
    {0x20, "OBJ_EXCLUSIVE"},      {0x40, "OBJ_CASE_INSENSITIVE"},
    {0x80, "OBJ_OPENIF"},         {0x100, "OBJ_OPENLINK"},
    {0x200, "OBJ_KERNEL_HANDLE"}, {0x400, "OBJ_FORCE_ACCESS_CHECK"}};
constexpr Constant kKeyOptions[] = {{0x1, "REG_OPTION_VOLATILE"},
                                    {0x2, "REG_OPTION_CREATE_LINK"},
                                    {0x4, "REG_OPTION_BACKUP_RESTORE"},
                                    {0x8, "REG_OPTION_OPEN_LINK"}};

// --- By their type

constexpr Constant kInherits[] = {{1, "ViewShare"}, {2, "ViewUnmap"}};
constexpr Constant kProcessClasses[] = {{0, "ProcessBasicInformation"},
                                        {1, "ProcessQuotaLimits"},
                                        {2, "ProcessIoCounters"},
                                        {3, "ProcessVmCounters"},
                                        {4, "ProcessTimes"},
                                        {7, "ProcessDebugPort"},
                                        {12, "ProcessDefaultHardErrorMode"},
                                        {18, "ProcessPriorityClass"},
                                        {20, "ProcessHandleCount"},
                                        {21, "ProcessAffinityMask"},
                                        {23, "ProcessDeviceMap"},
                                        {24, "ProcessSessionInformation"},
                                        {26, "ProcessWow64Information"},
                                        {27, "ProcessImageFileName"},
                                        {30, "ProcessDebugObjectHandle"},
                                        {31, "ProcessDebugFlags"},
                                        {34, "ProcessExecuteFlags"},
                                        {36, "ProcessCookie"},
                                        {37, "ProcessImageInformation"},
                                        {43, "ProcessImageFileNameWin32"},
                                        {60, "ProcessCommandLineInformation"}};
constexpr Constant kThreadClasses[] = {{0, "ThreadBasicInformation"},
                                       {1, "ThreadTimes"},
                                       {2, "ThreadPriority"},
                                       {3, "ThreadBasePriority"},
                                       {4, "ThreadAffinityMask"},
                                       {5, "ThreadImpersonationToken"},
                                       {9, "ThreadQuerySetWin32StartAddress"},
                                       {10, "ThreadZeroTlsCell"},
                                       {17, "ThreadHideFromDebugger"},
                                       {38, "ThreadNameInformation"}};
constexpr Constant kSystemClasses[] = {{0, "SystemBasicInformation"},
                                       {1, "SystemProcessorInformation"},
                                       {2, "SystemPerformanceInformation"},
                                       {3, "SystemTimeOfDayInformation"},
                                       {5, "SystemProcessInformation"},
                                       {8, "SystemProcessorPerformanceInformation"},
                                       {11, "SystemModuleInformation"},
                                       {16, "SystemHandleInformation"},
                                       {21, "SystemFileCacheInformation"},
                                       {35, "SystemKernelDebuggerInformation"},
                                       {44, "SystemCurrentTimeZoneInformation"},
                                       {50, "SystemRangeStartInformation"},
                                       {62, "SystemEmulationBasicInformation"},
                                       {64, "SystemExtendedHandleInformation"},
                                       {76, "SystemFirmwareTableInformation"}};
constexpr Constant kFileClasses[] = {{1, "FileDirectoryInformation"},
                                     {2, "FileFullDirectoryInformation"},
                                     {3, "FileBothDirectoryInformation"},
                                     {4, "FileBasicInformation"},
                                     {5, "FileStandardInformation"},
                                     {6, "FileInternalInformation"},
                                     {7, "FileEaInformation"},
                                     {8, "FileAccessInformation"},
                                     {9, "FileNameInformation"},
                                     {10, "FileRenameInformation"},
                                     {11, "FileLinkInformation"},
                                     {12, "FileNamesInformation"},
                                     {13, "FileDispositionInformation"},
                                     {14, "FilePositionInformation"},
                                     {16, "FileModeInformation"},
                                     {17, "FileAlignmentInformation"},
                                     {18, "FileAllInformation"},
                                     {19, "FileAllocationInformation"},
                                     {20, "FileEndOfFileInformation"},
                                     {22, "FileStreamInformation"},
                                     {23, "FilePipeInformation"},
                                     {24, "FilePipeLocalInformation"},
                                     {30, "FileCompletionInformation"},
                                     {34, "FileNetworkOpenInformation"},
                                     {35, "FileAttributeTagInformation"},
                                     {37, "FileIdBothDirectoryInformation"},
                                     {38, "FileIdFullDirectoryInformation"},
                                     {64, "FileDispositionInformationEx"},
                                     {65, "FileRenameInformationEx"}};
constexpr Constant kVolumeClasses[] = {
    {1, "FileFsVolumeInformation"},    {2, "FileFsLabelInformation"},
    {3, "FileFsSizeInformation"},      {4, "FileFsDeviceInformation"},
    {5, "FileFsAttributeInformation"}, {6, "FileFsControlInformation"},
    {7, "FileFsFullSizeInformation"},  {8, "FileFsObjectIdInformation"}};
constexpr Constant kKeyClasses[] = {{0, "KeyBasicInformation"},  {1, "KeyNodeInformation"},
                                    {2, "KeyFullInformation"},   {3, "KeyNameInformation"},
                                    {4, "KeyCachedInformation"}, {7, "KeyHandleTagsInformation"}};
constexpr Constant kValueClasses[] = {{0, "KeyValueBasicInformation"},
                                      {1, "KeyValueFullInformation"},
                                      {2, "KeyValuePartialInformation"},
                                      {3, "KeyValueFullInformationAlign64"},
                                      {4, "KeyValuePartialInformationAlign64"}};
constexpr Constant kMemoryClasses[] = {
    {0, "MemoryBasicInformation"},          {1, "MemoryWorkingSetInformation"},
    {2, "MemoryMappedFilenameInformation"}, {3, "MemoryRegionInformation"},
    {4, "MemoryWorkingSetExInformation"},   {6, "MemoryImageInformation"}};
constexpr Constant kObjectClasses[] = {{0, "ObjectBasicInformation"},
                                       {1, "ObjectNameInformation"},
                                       {2, "ObjectTypeInformation"},
                                       {3, "ObjectTypesInformation"},
                                       {4, "ObjectHandleFlagInformation"}};
constexpr Constant kSectionClasses[] = {{0, "SectionBasicInformation"},
                                        {1, "SectionImageInformation"}};
constexpr Constant kTokenClasses[] = {
    {1, "TokenUser"},           {2, "TokenGroups"},       {3, "TokenPrivileges"},
    {4, "TokenOwner"},          {5, "TokenPrimaryGroup"}, {6, "TokenDefaultDacl"},
    {7, "TokenSource"},         {8, "TokenType"},         {9, "TokenImpersonationLevel"},
    {10, "TokenStatistics"},    {12, "TokenSessionId"},   {18, "TokenElevationType"},
    {19, "TokenLinkedToken"},   {20, "TokenElevation"},   {25, "TokenIntegrityLevel"},
    {29, "TokenIsAppContainer"}};
constexpr Constant kEventTypes[] = {{0, "NotificationEvent"}, {1, "SynchronizationEvent"}};
constexpr Constant kTimerTypes[] = {{0, "NotificationTimer"}, {1, "SynchronizationTimer"}};
constexpr Constant kWaitTypes[] = {{0, "WaitAll"}, {1, "WaitAny"}};
constexpr Constant kTokenTypes[] = {{1, "TokenPrimary"}, {2, "TokenImpersonation"}};

// By the name of a parameter, of calls whose name has that in it; the narrower before the wider.
struct ParameterConstants {
  std::string_view in_call;
  ConstantSet set;
};
constexpr ParameterConstants kByParameter[] = {
    {"Key", {"CreateOptions", true, kKeyOptions}},
    {"Key", {"OpenOptions", true, kKeyOptions}},
    {"", {"Protect", true, kProtections}},
    {"", {"Win32Protect", true, kProtections}},
    {"", {"NewProtect", true, kProtections}},
    {"", {"NewProtection", true, kProtections}},
    {"", {"OldProtect", true, kProtections}},
    {"", {"OldProtection", true, kProtections}},
    {"", {"PageProtection", true, kProtections}},
    {"", {"SectionPageProtection", true, kProtections}},
    {"", {"AllocationType", true, kAllocations}},
    {"", {"FreeType", true, kAllocations}},
    {"", {"AllocationAttributes", true, kSections}},
    {"", {"ShareAccess", true, kShares}},
    {"", {"CreateDisposition", false, kDispositions}},
    {"", {"CreateOptions", true, kFileOptions}},
    {"", {"OpenOptions", true, kFileOptions}},
    {"", {"FileAttributes", true, kFileAttributes}},
    {"", {"HandleAttributes", true, kObjectAttributes}},
};
constexpr ConstantSet kByType[] = {
    {"SECTION_INHERIT", false, kInherits},
    {"PROCESSINFOCLASS", false, kProcessClasses},
    {"THREADINFOCLASS", false, kThreadClasses},
    {"SYSTEM_INFORMATION_CLASS", false, kSystemClasses},
    {"FILE_INFORMATION_CLASS", false, kFileClasses},
    {"FSINFOCLASS", false, kVolumeClasses},
    {"KEY_INFORMATION_CLASS", false, kKeyClasses},
    {"KEY_VALUE_INFORMATION_CLASS", false, kValueClasses},
    {"MEMORY_INFORMATION_CLASS", false, kMemoryClasses},
    {"OBJECT_INFORMATION_CLASS", false, kObjectClasses},
    {"SECTION_INFORMATION_CLASS", false, kSectionClasses},
    {"TOKEN_INFORMATION_CLASS", false, kTokenClasses},
    {"EVENT_TYPE", false, kEventTypes},
    {"TIMER_TYPE", false, kTimerTypes},
    {"WAIT_TYPE", false, kWaitTypes},
    {"TOKEN_TYPE", false, kTokenTypes},
    {"OBJECT_ATTRIBUTES", true, kObjectAttributes},
};

// --- Access masks

// Of every kind of object; the upper half.
constexpr Constant kCommonRights[] = {
    {0x00010000, "DELETE"},          {0x00020000, "READ_CONTROL"},
    {0x00040000, "WRITE_DAC"},       {0x00080000, "WRITE_OWNER"},
    {0x00100000, "SYNCHRONIZE"},     {0x01000000, "ACCESS_SYSTEM_SECURITY"},
    {0x02000000, "MAXIMUM_ALLOWED"}, {0x10000000, "GENERIC_ALL"},
    {0x20000000, "GENERIC_EXECUTE"}, {0x40000000, "GENERIC_WRITE"},
    {0x80000000, "GENERIC_READ"}};
constexpr Constant kFileRights[] = {
    {0x1, "FILE_READ_DATA"},     {0x2, "FILE_WRITE_DATA"},       {0x4, "FILE_APPEND_DATA"},
    {0x8, "FILE_READ_EA"},       {0x10, "FILE_WRITE_EA"},        {0x20, "FILE_EXECUTE"},
    {0x40, "FILE_DELETE_CHILD"}, {0x80, "FILE_READ_ATTRIBUTES"}, {0x100, "FILE_WRITE_ATTRIBUTES"}};
constexpr Constant kKeyRights[] = {{0x1, "KEY_QUERY_VALUE"},    {0x2, "KEY_SET_VALUE"},
                                   {0x4, "KEY_CREATE_SUB_KEY"}, {0x8, "KEY_ENUMERATE_SUB_KEYS"},
                                   {0x10, "KEY_NOTIFY"},        {0x20, "KEY_CREATE_LINK"},
                                   {0x100, "KEY_WOW64_64KEY"},  {0x200, "KEY_WOW64_32KEY"}};
constexpr Constant kProcessRights[] = {
    {0x1, "PROCESS_TERMINATE"},         {0x2, "PROCESS_CREATE_THREAD"},
    {0x8, "PROCESS_VM_OPERATION"},      {0x10, "PROCESS_VM_READ"},
    {0x20, "PROCESS_VM_WRITE"},         {0x40, "PROCESS_DUP_HANDLE"},
    {0x80, "PROCESS_CREATE_PROCESS"},   {0x100, "PROCESS_SET_QUOTA"},
    {0x200, "PROCESS_SET_INFORMATION"}, {0x400, "PROCESS_QUERY_INFORMATION"},
    {0x800, "PROCESS_SUSPEND_RESUME"},  {0x1000, "PROCESS_QUERY_LIMITED_INFORMATION"}};
constexpr Constant kThreadRights[] = {{0x1, "THREAD_TERMINATE"},
                                      {0x2, "THREAD_SUSPEND_RESUME"},
                                      {0x8, "THREAD_GET_CONTEXT"},
                                      {0x10, "THREAD_SET_CONTEXT"},
                                      {0x20, "THREAD_SET_INFORMATION"},
                                      {0x40, "THREAD_QUERY_INFORMATION"},
                                      {0x80, "THREAD_SET_THREAD_TOKEN"},
                                      {0x100, "THREAD_IMPERSONATE"},
                                      {0x200, "THREAD_DIRECT_IMPERSONATION"}};
constexpr Constant kSectionRights[] = {{0x1, "SECTION_QUERY"},
                                       {0x2, "SECTION_MAP_WRITE"},
                                       {0x4, "SECTION_MAP_READ"},
                                       {0x8, "SECTION_MAP_EXECUTE"},
                                       {0x10, "SECTION_EXTEND_SIZE"}};
constexpr Constant kEventRights[] = {{0x1, "EVENT_QUERY_STATE"}, {0x2, "EVENT_MODIFY_STATE"}};
constexpr Constant kMutantRights[] = {{0x1, "MUTANT_QUERY_STATE"}};
constexpr Constant kSemaphoreRights[] = {{0x1, "SEMAPHORE_QUERY_STATE"},
                                         {0x2, "SEMAPHORE_MODIFY_STATE"}};
constexpr Constant kTokenRights[] = {
    {0x1, "TOKEN_ASSIGN_PRIMARY"},    {0x2, "TOKEN_DUPLICATE"},
    {0x4, "TOKEN_IMPERSONATE"},       {0x8, "TOKEN_QUERY"},
    {0x10, "TOKEN_QUERY_SOURCE"},     {0x20, "TOKEN_ADJUST_PRIVILEGES"},
    {0x40, "TOKEN_ADJUST_GROUPS"},    {0x80, "TOKEN_ADJUST_DEFAULT"},
    {0x100, "TOKEN_ADJUST_SESSIONID"}};
constexpr Constant kDirectoryRights[] = {{0x1, "DIRECTORY_QUERY"},
                                         {0x2, "DIRECTORY_TRAVERSE"},
                                         {0x4, "DIRECTORY_CREATE_OBJECT"},
                                         {0x8, "DIRECTORY_CREATE_SUBDIRECTORY"}};

// By what the call's name has, the longer before the shorter: NtOpenThreadToken wants a token.
struct Rights {
  std::string_view in_name;
  std::span<const Constant> rights;
};
constexpr Rights kRights[] = {{"Token", kTokenRights},
                              {"Directory", kDirectoryRights},
                              {"Key", kKeyRights},
                              {"Section", kSectionRights},
                              {"Event", kEventRights},
                              {"Mutant", kMutantRights},
                              {"Semaphore", kSemaphoreRights},
                              {"Thread", kThreadRights},
                              {"Process", kProcessRights},
                              {"File", kFileRights}};

}  // namespace

const ConstantSet* find_constants(std::string_view call, std::string_view parameter,
                                  std::string_view type) {
  const auto* const own = std::ranges::find_if(kByParameter, [&](const ParameterConstants& row) {
    return row.set.of == parameter && call.find(row.in_call) != call.npos;
  });
  if (own != std::end(kByParameter)) return &own->set;
  const auto* const typed = std::ranges::find(kByType, type, &ConstantSet::of);
  return typed == std::end(kByType) ? nullptr : typed;
}

std::string name_access(std::string_view call, std::uint64_t mask) {
  constexpr std::uint64_t kOwnBits = 0xffff;
  const auto* const row = std::ranges::find_if(
      kRights, [&](const Rights& rights) { return call.find(rights.in_name) != call.npos; });
  const std::uint64_t own = mask & kOwnBits;
  std::string text;
  if (own != 0) {
    const bool is_known = row != std::end(kRights);
    const auto rights = is_known ? row->rights : std::span<const Constant>{};
    text = name_constants({"", true, rights}, own);
  }
  if (mask == own) return text.empty() ? "0" : text;
  const std::string common = name_constants({"", true, kCommonRights}, mask & ~kOwnBits);
  return text.empty() ? common : common + "|" + text;
}

std::string_view ntstatus_name(std::uint64_t status) {
  const auto* const found =
      std::ranges::lower_bound(kStatuses, status & 0xffffffff, {}, &Constant::value);
  return found != std::end(kStatuses) && found->value == (status & 0xffffffff) ? found->name
                                                                               : std::string_view{};
}

}  // namespace swat::os::windows
