/// Records of two inputs in the order of their merge, and the watermarks between them. Everything is borrowed for the call that it
/// is passed to.
@usableFromInline
struct MergedChunk {
  /// Marks a row of the right side in `rows`.
  @usableFromInline static var rightBit: UInt32 { 1 << 31 }

  /// Left of a connect, main stream of a broadcast; nil if no row of it is here.
  let left: RecordBatch?
  /// Right of a connect, broadcast side of a broadcast.
  let right: RecordBatch?
  /// One per record: its row number in its batch, with `rightBit` for one of the right side.
  let rows: UnsafeBufferPointer<UInt32>
  /// One per record, `EventTime.none` where there is none; nil if no record has one.
  let timestamps: UnsafePointer<Int64>?
  /// Of the combined watermark, at positions in the merged order.
  let marks: UnsafeBufferPointer<WatermarkMark>
  /// The number, in its input, of row 0 of each batch.
  let firstLeft: Int64
  let firstRight: Int64
  /// Only in a parallel instance: where its records stand in the whole chunk, whose positions the marks have.
  var ordered: OrderedChunk?
}

/// One of the inputs of an operator.
@usableFromInline
enum InputSide: Int {
  /// The only one, the left one, the main stream.
  case left = 0
  /// The right one, the broadcast side.
  case right = 1

  var other: InputSide { self == .left ? .right : .left }
  var word: String { self == .left ? "left" : "right" }
}

/// What kind of function an operator runs.
@usableFromInline
package enum OperatorKind: Int32, Sendable {
  /// One input.
  case process = 0
  /// Two inputs with keys of one type.
  case connect = 1
  /// A main stream, keyed or not, and one that every instance is given whole.
  case broadcast = 2
}
