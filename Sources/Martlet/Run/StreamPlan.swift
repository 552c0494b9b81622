/// What a stream is made by. Two streams made from one share it, so that it runs once for both.
final class StreamNode {
  let build: (StreamPlan) throws -> JobInput

  init(_ build: @escaping (StreamPlan) throws -> JobInput) { self.build = build }
}

/// The building of one job from streams.
@usableFromInline
final class StreamPlan {
  let job: Job
  private var built: [ObjectIdentifier: JobInput] = [:]

  init(_ job: Job) { self.job = job }

  /// Where the stream's records come from in this job, built on first use.
  func input(of stream: Stream) throws -> JobInput {
    if let input = built[ObjectIdentifier(stream.node)] { return input }
    let input = try stream.node.build(self)
    built[ObjectIdentifier(stream.node)] = input
    return input
  }

  /// Adds a function to one stream, or to two.
  @usableFromInline
  func add(_ spec: ProcessSpec, to streams: [Stream]) throws -> JobInput {
    let inputs = try streams.map { try input(of: $0) }
    try job.addProcess(spec, inputs)
    return .output(OutputSelector(process: job.operators.count - 1))
  }
}
