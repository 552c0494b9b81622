import Testing

@testable import Martlet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

enum FileSystemKind: CaseIterable, CustomTestStringConvertible {
  case posix, memory, faulty

  var testDescription: String { "\(self)" }

  /// The file system, and a folder to work in.
  func make() throws -> (any FileSystem, folder: String, TemporaryDirectory?) {
    switch self {
    case .posix:
      let directory = try TemporaryDirectory()
      return (PosixFileSystem(), directory.path, directory)
    case .faulty:
      let directory = try TemporaryDirectory()
      return (FaultyFileSystem(PosixFileSystem(), FaultPlan()), directory.path, directory)
    case .memory: return (MemoryFileSystem(), "/", nil)
    }
  }
}

/// One contract for all file systems.
@Suite struct FileSystemTests {
  @Test(arguments: FileSystemKind.allCases)
  func filesAreWrittenReadAndAppendedTo(kind: FileSystemKind) throws {
    let (files, folder, keep) = try kind.make()
    defer { withExtendedLifetime(keep) {} }
    let path = FilePath.join(folder, "a")
    #expect(try files.info(path) == nil)
    try files.write([1, 2, 3], to: path)
    try files.write([4], to: path, .append)
    #expect(try files.contents(path) == [1, 2, 3, 4])
    let info = try #require(try files.info(path))
    #expect(!info.isDirectory && info.size == 4)
    #expect(throws: EngineError.self) { try files.write([], to: path, .create) }
    try files.write([9], to: path, .replace)
    #expect(try files.contents(path) == [9])
    try files.copyFile(path, to: path + "2")
    try files.link(path, to: path + "3")
    try files.write([8], to: path, .append)
    #expect(try files.contents(path + "2") == [9])
    #expect(try files.contents(path + "3") == [9, 8])
    #expect(try files.list(folder) == ["a", "a2", "a3"])
    let file = try files.open(path + "4", .create)
    try file.write([1, 2, 3, 4])
    try file.overwrite(at: 1, with: [7, 8])
    try file.write([5])
    try file.close()
    #expect(try files.contents(path + "4") == [1, 7, 8, 4, 5])
  }

  @Test(arguments: FileSystemKind.allCases)
  func foldersAreMadeListedAndRemoved(kind: FileSystemKind) throws {
    let (files, folder, keep) = try kind.make()
    defer { withExtendedLifetime(keep) {} }
    let deep = FilePath.join(folder, "x/y/z")
    try files.makeDirectories(deep)
    try files.makeDirectories(deep)
    try files.write([1], to: FilePath.join(deep, "f"))
    #expect(try files.info(deep)?.isDirectory == true)
    #expect(throws: EngineError.self) { try files.remove(FilePath.join(folder, "x")) }
    #expect(throws: EngineError.self) { try files.makeDirectories(FilePath.join(deep, "f/g")) }
    try files.rename(FilePath.join(folder, "x"), to: FilePath.join(folder, "w"))
    #expect(try files.list(FilePath.join(folder, "w/y/z")) == ["f"])
    try files.removeTree(FilePath.join(folder, "w"))
    try files.removeTree(FilePath.join(folder, "w"))
    #expect(try files.list(folder) == [])
    #expect(try files.freeBytes(folder) > 0)
  }

  @Test(arguments: FileSystemKind.allCases)
  func aLockIsForOne(kind: FileSystemKind) throws {
    let (files, folder, keep) = try kind.make()
    defer { withExtendedLifetime(keep) {} }
    let path = FilePath.join(folder, "LOCK")
    var lock: (any FileLock)? = try files.lock(path)
    let error = try #require(throws: EngineError.self) { _ = try files.lock(path) }
    #expect(error.kind == .storageInUse)
    #expect(error.message.contains("this process") && error.message.contains(folder))
    lock?.release()
    lock = try files.lock(path)
    lock = nil
    _ = try files.lock(path)
  }

  @Test func theLockNamesTheProcess() throws {
    let directory = try TemporaryDirectory()
    let lock = try PosixFileSystem().lock(directory("LOCK"))
    #expect(try PosixFileSystem().contents(directory("LOCK")) == Array("\(getpid())\n".utf8))
    withExtendedLifetime(lock) {}
  }

  @Test func errorsNameOperationPathAndReason() throws {
    let directory = try TemporaryDirectory()
    let files = PosixFileSystem()
    var error = try #require(throws: EngineError.self) { _ = try files.open(directory("none"), .read) }
    #expect(error.kind == .storageFailed)
    #expect(error.message == "cannot open '\(directory("none"))': No such file or directory (errno 2)")
    #if os(Linux)
      // The device that is always full.
      error = try #require(throws: EngineError.self) { try files.write([1], to: "/dev/full", .append) }
      #expect(error.message.contains("'/dev/full': No space left on device") && error.message.contains("make room"))
      error = try #require(throws: EngineError.self) { try files.makeDirectory("/proc/martlet") }
      #expect(error.message.hasPrefix("cannot make the directory '/proc/martlet': "))
    #endif
    error = try #require(throws: EngineError.self) { try files.rename(directory("a"), to: directory("b")) }
    #expect(error.message.contains(directory("a")) && error.message.contains(directory("b")))
  }

  @Test func afterAFailedWriteAFileIsRefused() throws {
    #if os(Linux)
      let file = try PosixFileSystem().open("/dev/full", .append)
      #expect(throws: EngineError.self) { try file.write([1]) }
      let error = try #require(throws: EngineError.self) { try file.sync() }
      #expect(error.message.contains("failed before"))
    #endif
  }

  @Test func pathsAreTakenApart() {
    #expect(["/a/b", "/a/b/", "/a", "/", "a", "a/b"].map(FilePath.parent) == ["/a", "/a", "/", "/", ".", "a"])
    #expect(["/a/b", "/a/b/", "a"].map(FilePath.name) == ["b", "b", "a"])
    #expect(FilePath.join("/", "a") == "/a")
  }

  /// Whatever call fails, however, and whether the process or the machine stops with it: the old content or the new one.
  @Test(arguments: FaultPlan.Effect.allCases, FaultPlan.Moment.allCases)
  func aReplacedFileIsNeverTorn(effect: FaultPlan.Effect, moment: FaultPlan.Moment) throws {
    let plan = FaultPlan()
    let memory = MemoryFileSystem()
    let files = FaultyFileSystem(memory, plan)
    let old = [UInt8](repeating: 1, count: 100)
    let new = [UInt8](repeating: 2, count: 50)
    for machineStops in [false, true] {
      var call = 1
      while true {
        plan.recover()
        try memory.removeTree("/d")
        try memory.makeDirectories("/d")
        try files.replaceFile("/d/f", with: old)
        plan.arm(at: call, effect, moment)
        let done = (try? files.replaceFile("/d/f", with: new)) != nil
        let wasHit = plan.calls >= call
        if machineStops { memory.crash() }
        let found = try memory.contents("/d/f")
        #expect(done ? found == new : found == old || found == new, "call \(call): \(plan.log)")
        plan.recover()
        try files.replaceFile("/d/f", with: new)
        #expect(try memory.contents("/d/f") == new)
        if !wasHit { break }
        call += 1
      }
      #expect(call > 5)
    }
  }

  @Test func theMachineForgetsWhatWasNotSynced() throws {
    let memory = MemoryFileSystem()
    try memory.makeDirectories("/d")
    try memory.write([1], to: "/d/named")
    try memory.syncDirectory("/d")
    try memory.write([1], to: "/d/unnamed")
    let file = try memory.open("/d/named", .append)
    try file.write([2])
    #expect(try memory.contents("/d/named") == [1, 2])
    memory.crash()
    #expect(try memory.list("/d") == ["named"])
    #expect(try memory.contents("/d/named") == [1])
    #expect(throws: EngineError.self) { try file.write([3]) }
  }
}
