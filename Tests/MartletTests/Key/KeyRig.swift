import CMartlet

@testable import Martlet

/// A key space and the buffers that an operator would pass to it.
final class KeyRig {
  let space: KeySpace
  private let fields: [Field]
  private var refs: [KeyRef] = []

  init(_ names: [String], _ schema: Schema) throws {
    space = KeySpace(try KeySchema(names, in: schema))
    fields = schema.fields
  }

  /// One column "k" of that type.
  convenience init(_ type: DataType) throws { try self.init(["k"], Schema([Field("k", type)])) }

  /// The slots of all rows, `Slot.none` for null keys.
  func intern(_ batch: RecordBatch, rows: [Int32]? = nil) -> [UInt32] {
    let count = rows?.count ?? batch.numRows
    refs = Array(repeating: KeyRef(integer: 0), count: count)
    var slots = Array(repeating: UInt32(0), count: count)
    let inPlace =
      if let rows {
        rows.withUnsafeBufferPointer {
          space.intern(batch, RowSelection(start: 0, count: count, rows: $0.baseAddress), &refs, &slots)
        }
      } else {
        space.intern(batch, RowSelection(start: 0, count: count), &refs, &slots)
      }
    if let inPlace { refs = (0..<count).map { KeyRef(integer: inPlace[$0]) } }
    return slots
  }

  /// The slots of a batch with these keys in its one column.
  func intern(_ values: [Value]) throws -> [UInt32] { intern(try keyBatch(values)) }

  func keyBatch(_ values: [Value]) throws -> RecordBatch {
    try ArrowFixture(tally: Tally()).batch(fields, values.map { [$0] }, lead: [[values.first ?? .null]])
  }

  func key(_ slot: UInt32) -> Key {
    space.show(slot: slot)
    return Key(space.parts, space.partCount)
  }

  /// As the loop shows the key of a row that was just interned.
  func key(row: Int) -> Key {
    space.show(refs[row])
    return Key(space.parts, space.partCount)
  }
}
