import MartletRocksDB
import Testing

@testable import Martlet

/// A job in a state directory puts out in all its lives what it puts out in one, each record once: whatever keeps its state, however
/// little memory it has, wherever its lives end, with another parallelism and another backend in the next.
@Suite struct DurableJobTests {
  static let mixes: [[DurableKind]] = [[.memory], [.memoryStore], [.rocksdb], [.memory, .memoryStore, .rocksdb]]

  @Test(arguments: 0..<4, UInt64(1)...8)
  func chains(mix: Int, seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let program = DurableProgram(chain: &random, seed: seed)
    let whole = try program.whole()
    var hooks = SeededGenerator(seed + 1000)
    let directory = try TemporaryDirectory()
    let lives = try DurableLives(
      &random, outputs: program.outputs, at: directory("state"), DurableJobTests.mixes[mix]
    ) { _, random in
      let sizes = random.chance(30) ? program.sizes : [[1], [5, 2], [400]][Int.random(in: 0..<3, using: &random)]
      return try program.make([1, 1, 2, 3][Int.random(in: 0..<4, using: &random)], sizes) { hooks.chance(30) }
    }
    for output in whole.indices {
      #expect(
        lives.sink.committed[output] == whole[output], "seed \(seed), output \(output), \(lives.lives) lives")
    }
  }

  @Test(arguments: ParallelTwoInputTests.Shape.allCases, UInt64(1)...8)
  func twoInputs(shape: ParallelTwoInputTests.Shape, seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let program = DurableProgram(twoInputs: shape, &random, seed: seed)
    let whole = try program.whole()
    var hooks = SeededGenerator(seed + 1000)
    let directory = try TemporaryDirectory()
    let kinds = DurableJobTests.mixes[1 + Int(seed % 3)]
    let lives = try DurableLives(&random, outputs: program.outputs, at: directory("state"), kinds) { _, random in
      let sizes = [program.sizes, [1], [5, 2], [400]][Int.random(in: 0..<4, using: &random)]
      return try program.make([1, 2, 3][Int.random(in: 0..<3, using: &random)], sizes) { hooks.chance(30) }
    }
    for output in whole.indices {
      #expect(
        lives.sink.committed[output] == whole[output], "seed \(seed), output \(output), \(lives.lives) lives")
    }
  }
}
