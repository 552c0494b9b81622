import MartletRocksDB
import Testing

@testable import Martlet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// `Stream.run(into:)` in a state directory: what a sink has after all lives is what one life gives, wherever they end.
@Suite struct DurableRunTests {
  static var rows: [[Value]] {
    (0..<300).map { number in
      [.int(number * 7 % 13), .int(number * 3 % 10), .int(number % 5), .int(number / 2), .text("row \(number)")]
    }
  }

  static func stream(_ config: Stream.Config, slow: Bool = true) -> Stream {
    let events = Stream(
      {
        let source = ReplaySource(Gadget.fields, rows, sizes: [7])
        // Long enough for some checkpoints.
        if slow { source.onRead = { _ in usleep(1000) } }
        return source
      }(), timestamp: "t", maxOutOfOrderness: 3, config: config)
    return applyProcessFunction(events, "k", Gadget(), name: "gadget", config: config)
  }

  static func config(_ path: String?, _ backend: StateBackend, parallelism: Int = 1) -> Stream.Config {
    var config = Stream.Config()
    (config.name, config.clock, config.onError) = ("durable", ManualClock(), .skip)
    (config.stateDirectory, config.stateBackend, config.parallelism) = (path, backend, parallelism)
    config.checkpointInterval = .milliseconds(1)
    config.memoryLimit = 1 << 20
    return config
  }

  /// One life over the folder, to the end of the input.
  static func run(_ folder: String, _ kind: String, parallelism: Int = 1) throws -> String {
    let sink = try FolderSink(FilePath.join(folder, "out"))
    let backend = kind == "memory" ? StateBackend.memory : .rocksDB
    try stream(config(FilePath.join(folder, "state"), backend, parallelism: parallelism)).run(into: sink)
    return try sink.text()
  }

  static func expected() throws -> String {
    let directory = try TemporaryDirectory()
    let sink = try FolderSink(directory.path)
    try stream(config(nil, .memory), slow: false).run(into: sink)
    return try sink.text()
  }

  @Test(arguments: ["memory", "rocksdb"])
  func aRunEndsAndNothingComesAgain(kind: String) throws {
    let directory = try TemporaryDirectory()
    let whole = try DurableRunTests.expected()
    #expect(try DurableRunTests.run(directory.path, kind) == whole && !whole.isEmpty)
    #expect(try DurableRunTests.run(directory.path, kind, parallelism: 2) == whole)
    if kind == "memory" {
      #expect(try DurableRunTests.run(directory.path, "rocksdb") == whole)
    } else {
      let error = try #require(throws: EngineError.self) { _ = try DurableRunTests.run(directory.path, "memory") }
      #expect(error.kind == .invalidArgument && error.message.contains("'rocksdb'"))
    }
    #expect(try PosixFileSystem().list(directory("state/checkpoints")).count == 2)
  }

  /// A function that fails: what came before it, and what is durable, stays; the next life goes on.
  @Test func anErrorIsThrownAndTheRestGoesOn() throws {
    let directory = try TemporaryDirectory()
    let failing = try FolderSink(directory("out"))
    var config = DurableRunTests.config(directory("state"), .rocksDB)
    config.onError = .raise
    #expect(throws: ProcessFunctionError.self) { try DurableRunTests.stream(config).run(into: failing) }
    #expect(try DurableRunTests.run(directory.path, "rocksdb") == DurableRunTests.expected())
    config.checkpointInterval = .zero
    let error = try #require(throws: EngineError.self) { try DurableRunTests.stream(config).run(into: failing) }
    #expect(error.kind == .invalidArgument && error.message.contains("interval"))
    config.checkpointInterval = .seconds(1)
    config.memoryLimit = 100
    #expect(throws: EngineError.self) { try DurableRunTests.stream(config).run(into: failing) }
  }

  #if compiler(>=6.3) && os(Linux)
    /// The places that a job in a state directory comes by.
    static let places: [FaultPoint] = FaultPoint.allCases.filter { $0 != .fileBeforeRename && $0 != .fileAfterRename }

    /// Three processes die at the place, at different visits; the fourth comes to the end.
    @Test(arguments: ["memory", "rocksdb"], places)
    func aKilledProcessLosesNothing(kind: String, place: FaultPoint) async throws {
      let directory = try TemporaryDirectory()
      let (folder, name) = (directory.path, place.rawValue)
      for (life, count) in [3, 1, 2].enumerated() {
        await #expect(processExitsWith: .failure) {
          [
            folder = folder as String, name = name as String, kind = kind as String, count = count as Int,
            life = life as Int
          ]
          in
          setenv("MARTLET_FAULT", "\(name):kill:\(count)", 1)
          _ = try DurableRunTests.run(folder, kind, parallelism: life == 1 ? 2 : 1)
          // It was not visited so often.
          exit(3)
        }
      }
      #expect(try DurableRunTests.run(folder, kind) == DurableRunTests.expected(), "\(kind) \(name)")
    }

    /// The same with errors in place of deaths.
    @Test(arguments: ["memory", "rocksdb"], places)
    func aFailureLosesNothing(kind: String, place: FaultPoint) async throws {
      let directory = try TemporaryDirectory()
      let (folder, name) = (directory.path, place.rawValue)
      await #expect(processExitsWith: .success) {
        [folder = folder as String, name = name as String, kind = kind as String] in
        let place = try #require(FaultPoint(rawValue: name))
        for count in 1...3 {
          place.arm(.fail, at: count)
          do { _ = try DurableRunTests.run(folder, kind) } catch let error as EngineError {
            #expect(error.kind == .storageFailed, "\(error)")
          }
          place.disarm()
        }
        #expect(try DurableRunTests.run(folder, kind) == DurableRunTests.expected(), "\(kind) \(name)")
      }
    }
  #endif
}
