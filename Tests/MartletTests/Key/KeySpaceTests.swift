import CMartlet
import Testing

@testable import Martlet

/// Keys read from columns of every type that can be one.
@Suite struct KeySpaceTests {
  static let keyTypes: [DataType] =
    SampleTypes.flat.filter { KeyClass($0) != nil && $0 != .null }
    + [.utf8, .int64, .uint64, .binary, .date64].map { .dictionary(index: .int16, value: $0, ordered: false) }

  /// Same value, same slot; other value, other slot; null, none; and the callback sees the value.
  @Test(arguments: keyTypes, UInt64(1)...3)
  func slotsFollowValues(_ type: DataType, seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let rig = try KeyRig(type)
    var model: [Value: UInt32] = [:]
    for _ in 0..<4 {
      var values = (0..<80).map { _ in random.value(Field("k", type)) }
      values += (0..<80).map { _ in values.randomElement(using: &random)! }
      let slots = try rig.intern(values)
      for (row, value) in values.enumerated() {
        guard let identity = value.keyIdentity(type) else {
          #expect(slots[row] == Slot.none, "row \(row) of \(type), seed \(seed)")
          continue
        }
        #expect(
          slots[row] != Slot.none && slots[row] == model[identity, default: slots[row]],
          "\(value) of \(type), seed \(seed)")
        model[identity] = slots[row]
        #expect(Value(rig.key(slots[row])) == identity, "shown by slot: \(type), seed \(seed)")
      }
      #expect(Set(model.values).count == model.count, "two keys of \(type) share a slot, seed \(seed)")
    }
  }

  /// The key of a row is shown from the batch, not from the slot.
  @Test(arguments: keyTypes)
  func rowsShowTheirKey(_ type: DataType) throws {
    var random = SeededGenerator(11)
    let rig = try KeyRig(type)
    let values = (0..<100).map { _ in random.value(Field("k", type)) }
    let batch = try rig.keyBatch(values)
    let slots = rig.intern(batch)
    for (row, value) in values.enumerated() where slots[row] != Slot.none {
      #expect(Value(rig.key(row: row)) == value.keyIdentity(type), "row \(row) of \(type)")
    }
    withExtendedLifetime(batch) {}
  }

  /// Firing order of timers: the order of canonical bytes, whatever form the table holds.
  @Test(arguments: keyTypes)
  func orderIsThatOfCanonicalBytes(_ type: DataType) throws {
    var random = SeededGenerator(5)
    let rig = try KeyRig(type)
    var values = (0..<60).map { _ in random.value(Field("k", type), nulls: 0) }
    if case .utf8 = type.valueType { values += ["", "a", "a\0", "ab", "b", "abcdefgh", "abcdefghi"].map(Value.text) }
    let slots = Set(try rig.intern(values))
    for a in slots {
      for b in slots where a != b {
        let expected = rig.canonical(a, type).lexicographicallyPrecedes(rig.canonical(b, type))
        #expect(rig.space.precedes(a, b) == expected, "\(type)")
        let (left, right) = (rig.space.sortPrefix(a), rig.space.sortPrefix(b))
        #expect(left == right || (left < right) == expected, "prefixes of \(type)")
      }
    }
  }

  @Test func unsignedKeysBeyondInt64() throws {
    let rig = try KeyRig(.uint64)
    let slots = try rig.intern([-1, Int64.min, 1, Int64.max].map { Value.int($0) })
    #expect(
      slots.map { rig.key($0).description } == [
        "18446744073709551615", "9223372036854775808", "1", "9223372036854775807",
      ])
    #expect(rig.space.precedes(slots[2], slots[0]) && rig.space.precedes(slots[3], slots[1]))
  }

  @Test func compositeKeys() throws {
    let fields = [
      Field("a", .int32), Field("b", .utf8), Field("c", .dictionary(index: .int8, value: .bool, ordered: false)),
    ]
    let rig = try KeyRig(["b", "a", "c"], Schema(fields))
    let rows: [[Value]] = [
      [.int(1), .text("x"), .int(1)], [.int(1), .text("x"), .int(0)], [.int(1), .text("x"), .int(1)],
      [.null, .text("x"), .int(1)], [.int(1), .null, .int(1)], [.int(1), .text(""), .null],
      [.int(-7), .text("it\0s"), .int(0)],
    ]
    let batch = try ArrowFixture(tally: Tally()).batch(fields, rows)
    let slots = rig.intern(batch)
    #expect(slots[0] == slots[2] && slots[0] != slots[1])
    #expect(slots[3...5].allSatisfy { $0 == Slot.none })
    #expect(rig.key(slots[0]).description == "('x', 1, true)")
    let last = rig.key(slots[6])
    #expect(last.count == 3 && last[0].string == "it\0s" && last[1].int64 == -7 && last[2].int64 == 0)
    withExtendedLifetime(batch) {}
  }

  /// Rows of a selection, in its order.
  @Test(arguments: [DataType.int8, .uint32, .int64, .utf8, .binaryView, .bool, .decimal128(precision: 5, scale: 0)])
  func selectedRows(_ type: DataType) throws {
    var random = SeededGenerator(3)
    let values = (0..<50).map { _ in random.value(Field("k", type)) }
    let whole = try KeyRig(type)
    let all = try whole.intern(values)
    let rows: [Int32] = [49, 3, 3, 17, 0, 21]
    let some = whole.intern(try whole.keyBatch(values), rows: rows)
    #expect(some == rows.map { all[Int($0)] })
  }

  @Test func floatsAndNestedTypesAreNoKeys() throws {
    for type in [
      DataType.float16, .float32, .float64, .list(Field("item", .int8)), .decimal256(precision: 40, scale: 0),
    ] {
      let error = #expect(throws: EngineError.self) { try KeyRig(type) }
      #expect(error?.kind == .keyType && error.says("'k'") && error.says("\(type)"))
    }
    let error = #expect(throws: EngineError.self) { try KeyRig(["user"], Schema([Field("k", .utf8)])) }
    #expect(error?.kind == .missingColumn && error.says("'user'") && error.says("'k'"))
  }

  /// A column of type null has rows, and never a key.
  @Test func nullColumn() throws {
    #expect(try KeyRig(.null).intern([.null, .null]) == [Slot.none, Slot.none])
  }

  @Test func keysAsText() throws {
    func text(_ type: DataType, _ value: Value) throws -> String {
      let rig = try KeyRig(type)
      return rig.key(try rig.intern([value])[0]).description
    }
    #expect(try text(.int8, .int(-3)) == "-3")
    #expect(try text(.bool, .int(1)) == "true")
    #expect(try text(.largeUtf8, .text("né")) == "'né'")
    #expect(try text(.binary, .bytes([0, 0xAB])) == "0x00ab")
    #expect(try text(.date64, .int(86_400_000)) == "86400000")
  }
}

extension KeyRig {
  /// The canonical bytes of the single key of a slot.
  func canonical(_ slot: UInt32, _ type: DataType) -> [UInt8] {
    var bytes: [UInt8] = []
    let key = key(slot)
    guard let keyClass = KeyClass(type.valueType) else { return [] }
    switch keyClass {
    case .utf8, .binary, .decimal: KeyEncoding.append(bytes: key.bytes, keyClass, to: &bytes)
    case .unsigned: KeyEncoding.append(integer: key.int64 ^ .min, keyClass, to: &bytes)
    default: KeyEncoding.append(integer: key.int64, keyClass, to: &bytes)
    }
    return bytes
  }
}

extension Value {
  /// What a callback sees of a key: dates of both widths are whole days. Nil for null.
  func keyIdentity(_ type: DataType) -> Value? {
    switch self {
    case .null: nil
    case .int(let value) where type.valueType == .date64: .int(floorDivide(value, 86_400_000) &* 86_400_000)
    default: self
    }
  }

  init(_ key: Key) {
    let isInteger = key.parts.pointee.kind <= Int32(MARTLET_KEY_UNSIGNED.rawValue)
    self = isInteger ? .int(key.int64) : .bytes([UInt8](key.bytes))
  }
}
