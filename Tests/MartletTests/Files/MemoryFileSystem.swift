@testable import Martlet

/// A file system in memory that knows what would survive the machine: `crash` takes away everything that was not synced, contents
/// as well as names, which is the most that POSIX allows a real one to lose.
final class MemoryFileSystem: FileSystem {
  private final class Node: @unchecked Sendable {
    // Only used under the file system's lock.
    let isDirectory: Bool
    var bytes: [UInt8] = []
    var syncedBytes: [UInt8] = []
    var entries: [String: Node] = [:]
    var syncedEntries: [String: Node] = [:]

    init(isDirectory: Bool) { self.isDirectory = isDirectory }
  }

  private struct State {
    var root = Node(isDirectory: true)
    var locked: Set<String> = []
    var lives = 0
  }

  private let state = Locked(State())

  /// The machine stops and starts again. Files that are open, and locks, are of no use afterwards.
  func crash() {
    state.withLock { state in
      func forget(_ node: Node) {
        node.bytes = node.syncedBytes
        node.entries = node.syncedEntries
        for child in node.entries.values { forget(child) }
      }
      forget(state.root)
      state.locked = []
      state.lives += 1
    }
  }

  private func access<Result>(
    _ operation: String, _ path: String, _ body: (inout State) throws(Refusal) -> Result
  ) throws(EngineError) -> Result {
    let result: Swift.Result<Result, EngineError> = state.withLock { state in
      do throws(Refusal) {
        return .success(try body(&state))
      } catch {
        return .failure(EngineError(error.kind, "cannot \(operation) '\(path)': \(error.reason)"))
      }
    }
    return try result.get()
  }

  private struct Refusal: Error {
    var reason: String
    var kind = EngineError.Kind.storageFailed
  }

  private func find(_ state: State, _ path: String) -> Node? {
    var node = state.root
    for name in path.split(separator: "/") where name != "." {
      guard let child = node.entries[String(name)] else { return nil }
      node = child
    }
    return node
  }

  private func folder(_ state: State, of path: String) throws(Refusal) -> (Node, String) {
    guard let node = find(state, FilePath.parent(path)), node.isDirectory else {
      throw Refusal(reason: "no such directory")
    }
    return (node, FilePath.name(path))
  }

  private func existing(_ state: State, _ path: String) throws(Refusal) -> Node {
    guard let node = find(state, path) else { throw Refusal(reason: "no such file or directory") }
    return node
  }

  func open(_ path: String, _ mode: FileMode) throws(EngineError) -> any OpenFile {
    try access("open", path) { state throws(Refusal) in
      let (parent, name) = try folder(state, of: path)
      let old = parent.entries[name]
      if old?.isDirectory == true { throw Refusal(reason: "is a directory") }
      let node: Node
      switch (mode, old) {
      case (.create, .some): throw Refusal(reason: "file exists")
      case (.read, nil): throw Refusal(reason: "no such file or directory")
      case (_, .some(let old)): node = old
      case (_, nil): node = Node(isDirectory: false)
      }
      if mode == .replace { node.bytes = [] }
      parent.entries[name] = node
      return File(self, path, node, state.lives)
    }
  }

  func info(_ path: String) throws(EngineError) -> FileInfo? {
    try access("look at", path) { state throws(Refusal) in
      find(state, path).map { FileInfo(isDirectory: $0.isDirectory, size: Int64($0.bytes.count)) }
    }
  }

  func list(_ path: String) throws(EngineError) -> [String] {
    try access("list", path) { state throws(Refusal) in
      try existing(state, path).entries.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
  }

  func makeDirectory(_ path: String) throws(EngineError) {
    try access("make the directory", path) { state throws(Refusal) in
      let (parent, name) = try folder(state, of: path)
      if parent.entries[name] != nil { throw Refusal(reason: "file exists") }
      parent.entries[name] = Node(isDirectory: true)
    }
  }

  func rename(_ path: String, to target: String) throws(EngineError) {
    try access("rename '\(path)' to", target) { state throws(Refusal) in
      let node = try existing(state, path)
      let (parent, name) = try folder(state, of: path)
      let (newParent, newName) = try folder(state, of: target)
      if let there = newParent.entries[newName], there.isDirectory || node.isDirectory {
        guard there.isDirectory, node.isDirectory, there.entries.isEmpty else { throw Refusal(reason: "file exists") }
      }
      parent.entries[name] = nil
      newParent.entries[newName] = node
    }
  }

  func link(_ path: String, to target: String) throws(EngineError) {
    try access("link '\(path)' to", target) { state throws(Refusal) in
      let node = try existing(state, path)
      let (parent, name) = try folder(state, of: target)
      if parent.entries[name] != nil { throw Refusal(reason: "file exists") }
      parent.entries[name] = node
    }
  }

  func remove(_ path: String) throws(EngineError) {
    try access("remove", path) { state throws(Refusal) in
      guard try existing(state, path).entries.isEmpty else { throw Refusal(reason: "directory not empty") }
      let (parent, name) = try folder(state, of: path)
      parent.entries[name] = nil
    }
  }

  func syncDirectory(_ path: String) throws(EngineError) {
    try access("sync", path) { state throws(Refusal) in
      let node = try existing(state, path)
      node.syncedEntries = node.entries
    }
  }

  func lock(_ path: String) throws(EngineError) -> any FileLock {
    try open(path, .append).close()
    return try access("lock", path) { state throws(Refusal) in
      guard state.locked.insert(path).inserted else {
        throw Refusal(reason: "it is in use by this process", kind: .storageInUse)
      }
      return Lock(self, path, state.lives)
    }
  }

  func freeBytes(_ path: String) throws(EngineError) -> Int64 { 1 << 40 }

  private final class Lock: FileLock {
    let release1: @Sendable () -> Void
    init(_ system: MemoryFileSystem, _ path: String, _ life: Int) {
      release1 = {
        system.state.withLock { if $0.lives == life { $0.locked.remove(path) } }
      }
    }
    deinit { release1() }
    func release() { release1() }
  }

  private final class File: OpenFile {
    private let system: MemoryFileSystem
    let path: String
    private let node: Node
    private let life: Int

    init(_ system: MemoryFileSystem, _ path: String, _ node: Node, _ life: Int) {
      self.system = system
      self.path = path
      self.node = node
      self.life = life
    }

    private func use<Result>(_ operation: String, _ body: (Node) -> Result) throws(EngineError) -> Result {
      try system.access(operation, path) { state throws(Refusal) in
        if state.lives != life { throw Refusal(reason: "the machine has stopped since it was opened") }
        return body(node)
      }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(EngineError) { try use("write") { $0.bytes += bytes } }
    func overwrite(at offset: Int64, with bytes: UnsafeRawBufferPointer) throws(EngineError) {
      try use("write") { $0.bytes.replaceSubrange(Int(offset)..<(Int(offset) + bytes.count), with: bytes) }
    }
    func sync() throws(EngineError) { try use("sync") { $0.syncedBytes = $0.bytes } }
    func close() throws(EngineError) {}

    func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(EngineError) -> Int {
      try use("read") { node in
        let part = node.bytes.dropFirst(Int(offset)).prefix(buffer.count)
        buffer.copyBytes(from: part)
        return part.count
      }
    }
  }
}
