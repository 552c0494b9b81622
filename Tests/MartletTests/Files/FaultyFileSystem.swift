@testable import Martlet

/// A file system that goes wrong as planned, over another one.
struct FaultyFileSystem: FileSystem {
  let base: any FileSystem
  let plan: FaultPlan

  init(_ base: any FileSystem, _ plan: FaultPlan) {
    self.base = base
    self.plan = plan
  }

  func open(_ path: String, _ mode: FileMode) throws(EngineError) -> any OpenFile {
    try plan.run("open", path) { () throws(EngineError) in FaultyFile(try base.open(path, mode), plan) }
  }
  func info(_ path: String) throws(EngineError) -> FileInfo? {
    try plan.run("look at", path) { () throws(EngineError) in try base.info(path) }
  }
  func list(_ path: String) throws(EngineError) -> [String] {
    try plan.run("list", path) { () throws(EngineError) in try base.list(path) }
  }
  func makeDirectory(_ path: String) throws(EngineError) {
    try plan.run("make", path) { () throws(EngineError) in try base.makeDirectory(path) }
  }
  func rename(_ path: String, to target: String) throws(EngineError) {
    try plan.run("rename", path) { () throws(EngineError) in try base.rename(path, to: target) }
  }
  func link(_ path: String, to target: String) throws(EngineError) {
    try plan.run("link", path) { () throws(EngineError) in try base.link(path, to: target) }
  }
  func remove(_ path: String) throws(EngineError) {
    try plan.run("remove", path) { () throws(EngineError) in try base.remove(path) }
  }
  func syncDirectory(_ path: String) throws(EngineError) {
    try plan.run("sync", path) { () throws(EngineError) in try base.syncDirectory(path) }
  }
  func lock(_ path: String) throws(EngineError) -> any FileLock {
    try plan.run("lock", path) { () throws(EngineError) in try base.lock(path) }
  }
  func freeBytes(_ path: String) throws(EngineError) -> Int64 {
    try plan.run("look at the free space of", path) { () throws(EngineError) in try base.freeBytes(path) }
  }
}

private final class FaultyFile: OpenFile {
  private let base: any OpenFile
  private let plan: FaultPlan

  init(_ base: any OpenFile, _ plan: FaultPlan) {
    self.base = base
    self.plan = plan
  }

  var path: String { base.path }

  func write(_ bytes: UnsafeRawBufferPointer) throws(EngineError) {
    let half = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)])
    try plan.run("write", path, torn: { () throws(EngineError) in try base.write(half) }) { () throws(EngineError) in
      try base.write(bytes)
    }
  }
  func overwrite(at offset: Int64, with bytes: UnsafeRawBufferPointer) throws(EngineError) {
    let half = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)])
    try plan.run(
      "overwrite", path, torn: { () throws(EngineError) in try base.overwrite(at: offset, with: half) }
    ) { () throws(EngineError) in try base.overwrite(at: offset, with: bytes) }
  }
  func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(EngineError) -> Int {
    try plan.run("read", path) { () throws(EngineError) in try base.read(at: offset, into: buffer) }
  }
  func sync() throws(EngineError) { try plan.run("sync", path) { () throws(EngineError) in try base.sync() } }
  func close() throws(EngineError) { try plan.run("close", path) { () throws(EngineError) in try base.close() } }
}
