@testable import Martlet

/// A random job for several lives: chains of one input, and functions of two.
struct DurableProgram {
  /// Of the outputs, the first is the last operator's.
  let outputs: Int
  /// The sizes of batches that the program came with.
  let sizes: [Int]
  /// The job, not begun. `pause` is asked at every batch whether `next` is to come back after it.
  let make: (_ parallelism: Int, _ sizes: [Int], _ pause: @escaping () -> Bool) throws -> Job

  init(chain random: inout SeededGenerator, seed: UInt64) {
    var program = ParallelProgramTests.Program(
      &random, rows: Int.random(in: 20...200, using: &random), fails: seed % 5 == 0)
    if seed % 5 == 0, program.policies.onError == .raise { program.policies.onError = .skip }
    let fixed = program
    let tags = ["side", "records"] + fixed.policies.reservedTags
    (outputs, sizes) = (tags.count + 1, fixed.sizes)
    make = { parallelism, sizes, pause in
      let job = Job(name: "job", fixed.policies, clock: ManualClock(), atEnd: fixed.atEnd)
      job.parallelism = try Parallelism(parallelism)
      let source = ReplaySource(Gadget.fields, fixed.rows, sizes: sizes)
      source.onRead = { [weak job] _ in if pause() { job?.pause() } }
      try job.addSource(source, timestamp: "t", maxOutOfOrderness: fixed.bound)
      for number in 0..<fixed.chain {
        try job.addProcess(.gadget("gadget \(number)", by: number == 1 ? "op" : "k"))
      }
      try job.addProcess(.witness())
      try job.addOutput(OutputSelector(process: fixed.chain))
      for tag in tags { try job.addOutput(OutputSelector(process: 0, tag: tag)) }
      return job
    }
  }

  init(twoInputs shape: ParallelTwoInputTests.Shape, _ random: inout SeededGenerator, seed: UInt64) {
    var program = ParallelTwoInputTests.Program(&random, shape, fails: seed % 4 == 0)
    if shape != .connect {
      program.policies.onError = .raise
    } else if program.policies.onError == .raise {
      program.policies.onError = .skip
    }
    let fixed = program
    let tags = (shape == .connect ? ["records"] : []) + fixed.policies.reservedTags
    (outputs, sizes) = (tags.count + 1, fixed.sizes)
    make = { parallelism, sizes, pause in
      let job = Job(name: "job", fixed.policies, clock: ManualClock(5))
      job.parallelism = try Parallelism(parallelism)
      for (rows, name) in [(fixed.left, "left"), (fixed.right, "right")] {
        let source = ReplaySource(Gadget.fields, rows, sizes: sizes)
        source.onRead = { [weak job] _ in if pause() { job?.pause() } }
        try job.addSource(source, name: name, timestamp: seed % 5 == 0 ? nil : "t", maxOutOfOrderness: fixed.bound)
      }
      try job.addProcess(fixed.spec(shape), [.source(0), .source(1)])
      try job.addProcess(.witness())
      try job.addOutput(OutputSelector(process: 1))
      for tag in tags { try job.addOutput(OutputSelector(process: 0, tag: tag)) }
      return job
    }
  }

  /// What it puts out in one life, in memory, on one thread.
  func whole() throws -> [[[Value]]] {
    try Lives(uninterrupted: make(1, sizes) { false }, outputs: outputs).rows
  }
}
