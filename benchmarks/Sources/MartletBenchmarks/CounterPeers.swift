import BenchSupport
import CBenchPeers

/// Rows of an output batch, of the C loop and of the engine alike.
let outputRows = 65_536

/// What the sink of a C loop does with a batch; a timed run counts its rows.
private final class Taken {
  var rows = 0
  let check: ((counter_batch) -> Void)?

  init(check: ((counter_batch) -> Void)?) { self.check = check }
}

private let take: counter_sink = { context, batch in
  let taken = Unmanaged<Taken>.fromOpaque(context!).takeUnretainedValue()
  taken.check?(batch!.pointee)
  taken.rows += Int(batch!.pointee.rows)
}

/// The C loop over integer keys.
final class IntegerLoop {
  let keys: IntegerKeys

  init(_ keys: IntegerKeys) { self.keys = keys }

  func run() { _ = run(byReference: false) }
  func runByReference() { _ = run(byReference: true) }

  /// How many keys there are.
  private func run(byReference: Bool, check: ((counter_batch) -> Void)? = nil) -> Int {
    let taken = Taken(check: check)
    let distinct = counter_loop_int64(
      keys.values, Int64(keys.values.count), Int64(outputRows), byReference ? 1 : 0, take,
      Unmanaged.passUnretained(taken).toOpaque())
    precondition(distinct >= 0, "the C loop has no memory")
    precondition(taken.rows == keys.values.count, "the C loop gave \(taken.rows) rows")
    return Int(distinct)
  }

  /// Compares the loop with Swift's own dictionary, which is slow and right.
  func check() {
    var naive: [Int64: Int64] = [:]
    var next = 0
    let distinct = run(byReference: false) { batch in
      for row in 0..<Int(batch.rows) {
        let key = self.keys.values[next]
        naive[key, default: 0] += 1
        precondition(batch.keys[row] == key && batch.counts[row] == naive[key], "the C loop is wrong at row \(next)")
        next += 1
      }
    }
    precondition(distinct == naive.count)
    next = 0
    precondition(run(byReference: true) { checkReferences($0, &next) } == distinct)
  }
}

/// The C loop over string keys.
final class StringLoop {
  let keys: StringKeys

  init(_ keys: StringKeys) { self.keys = keys }

  func run() { _ = run(byReference: false) }
  func runByReference() { _ = run(byReference: true) }

  private func run(byReference: Bool, check: ((counter_batch) -> Void)? = nil) -> Int {
    let taken = Taken(check: check)
    let count = keys.offsets.count - 1
    let distinct = counter_loop_utf8(
      keys.offsets, keys.bytes, Int64(count), Int64(outputRows), byReference ? 1 : 0, take,
      Unmanaged.passUnretained(taken).toOpaque())
    precondition(distinct >= 0, "the C loop has no memory")
    precondition(taken.rows == count, "the C loop gave \(taken.rows) rows")
    return Int(distinct)
  }

  func check() {
    var naive: [ArraySlice<UInt8>: Int64] = [:]
    var next = 0
    let distinct = run(byReference: false) { batch in
      for row in 0..<Int(batch.rows) {
        let key = self.keys.bytes[Int(self.keys.offsets[next])..<Int(self.keys.offsets[next + 1])]
        naive[key, default: 0] += 1
        let copy = UnsafeBufferPointer(
          start: batch.bytes + Int(batch.offsets[row]), count: Int(batch.offsets[row + 1] - batch.offsets[row]))
        precondition(copy.elementsEqual(key), "the C loop copied the wrong key at row \(next)")
        precondition(batch.counts[row] == naive[key], "the C loop is wrong at row \(next)")
        next += 1
      }
    }
    precondition(distinct == naive.count)
    next = 0
    precondition(run(byReference: true) { checkReferences($0, &next) } == distinct)
  }
}

private func checkReferences(_ batch: counter_batch, _ next: inout Int) {
  for row in 0..<Int(batch.rows) {
    precondition(batch.references[row] == Int32(next), "the C loop refers to the wrong row at \(next)")
    next += 1
  }
}
