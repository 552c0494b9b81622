// What a coordinator and its workers say to each other about the workers' stores.

/// What a worker needs to make its store.
struct WorkerStoreOrder: Equatable {
  var backend: String
  var opening: ProcessStore.Opening
  /// Of the job's operators, in their order.
  var numbers: [OperatorNumbers]
}

/// What a worker is to do with what its instances have put down.
struct WorkerPersistOrder {
  var folder: String
  var previous: StoreFiles.Previous?
}

extension ByteWriter {
  mutating func storeOrder(_ order: WorkerStoreOrder) {
    text(order.backend)
    text(order.opening.path)
    count(order.opening.memoryLimit)
    count(order.opening.processes)
    count(order.opening.sources.count)
    for source in order.opening.sources {
      text(source.path)
      integer(source.groups.lowerBound)
      integer(source.groups.upperBound)
    }
    numbers(order.opening.operators)
    count(order.numbers.count)
    for one in order.numbers {
      integer(one.number)
      numbers(one.states)
      numbers(one.forgotten.sorted())
      count(one.kept.count)
      for (name, number) in one.kept.sorted(by: { $0.value < $1.value }) {
        text(name)
        integer(number)
      }
      count(one.memoryLimit)
      count(one.largeAbove)
      count(one.listChunk)
    }
  }

  private mutating func numbers(_ numbers: [UInt16]) {
    count(numbers.count)
    for number in numbers { integer(number) }
  }

  mutating func persistOrder(_ order: WorkerPersistOrder) {
    text(order.folder)
    flag(order.previous != nil)
    guard let previous = order.previous else { return }
    text(previous.folder)
    manifestFiles(previous.files)
  }

  mutating func error(_ error: EngineError) {
    integer(error.kind.rawValue)
    text(error.message)
    optional(error.operatorName)
    optional(error.record)
    optional(error.key)
  }
}

extension ByteReader {
  mutating func storeOrder() throws(Malformed) -> WorkerStoreOrder {
    let backend = try text()
    var opening = ProcessStore.Opening(path: try text(), memoryLimit: try count(), processes: try count())
    for _ in 0..<(try count()) {
      let path = try text()
      let lower = try integer(Int32.self)
      let upper = try integer(Int32.self)
      guard lower <= upper else { throw Malformed() }
      opening.sources.append(ProcessStore.Opening.Source(path: path, groups: lower..<upper))
    }
    opening.operators = try numbers()
    var order = WorkerStoreOrder(backend: backend, opening: opening, numbers: [])
    for _ in 0..<(try count()) {
      order.numbers.append(
        OperatorNumbers(
          number: try integer(UInt16.self), states: try numbers(), forgotten: Set(try numbers()),
          kept: try namedNumbers(), memoryLimit: try count(), largeAbove: try count(), listChunk: try count()))
    }
    return order
  }

  private mutating func numbers() throws(Malformed) -> [UInt16] {
    var numbers: [UInt16] = []
    for _ in 0..<(try count()) { numbers.append(try integer(UInt16.self)) }
    return numbers
  }

  private mutating func namedNumbers() throws(Malformed) -> [String: UInt16] {
    var numbers: [String: UInt16] = [:]
    for _ in 0..<(try count()) { numbers[try text()] = try integer(UInt16.self) }
    return numbers
  }

  mutating func persistOrder() throws(Malformed) -> WorkerPersistOrder {
    var order = WorkerPersistOrder(folder: try text(), previous: nil)
    if try bool() { order.previous = StoreFiles.Previous(folder: try text(), files: try manifestFiles()) }
    return order
  }

  mutating func error() throws(Malformed) -> EngineError {
    guard let kind = EngineError.Kind(rawValue: try integer(Int32.self)) else { throw Malformed() }
    var error = EngineError(kind, try text())
    error.operatorName = try optionalText()
    error.record = try optionalInteger()
    error.key = try optionalText()
    return error
  }
}
