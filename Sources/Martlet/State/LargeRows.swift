/// Lists and maps with rows of their own: one for each entry of a map, one for some elements of a list, so that a change writes little,
/// however large they are.
///
/// ```
/// map:   key: the entry's key, integers as 8 bytes whose order is theirs, bytes as they are
///        value: flags (1: bit 0 stamp) | stamp (8, with bit 0) | cell: 8 bytes, or the bytes to the end
/// list:  key: the chunk's number (8, big-endian)
///        value: the elements in the form of `StateColumn.encodeEntries`
/// ```
extension MapStateColumn {
  /// The entry's key, as the table holds it, for the end of a row's key.
  func appendRowKey(_ key: StateCell, to bytes: inout [UInt8]) {
    if layout.keys.isBytes {
      bytes.append(contentsOf: key.bytes)
    } else {
      StoreKeys.append(UInt64(bitPattern: key.word) ^ (1 << 63), to: &bytes)
    }
  }

  func appendRowValue(_ position: TablePosition, to bytes: inout [UInt8]) {
    bytes.append(layout.isTimed ? 1 : 0)
    if layout.isTimed {
      let stamp = layout.stamp(position.node, position.index).load(as: Int64.self)
      withUnsafeBytes(of: stamp.littleEndian) { bytes.append(contentsOf: $0) }
    }
    let cell = layout.values.load(layout.value(position.node, position.index))
    if layout.values.isBytes {
      bytes.append(contentsOf: cell.bytes)
    } else {
      withUnsafeBytes(of: cell.word.littleEndian) { bytes.append(contentsOf: $0) }
    }
  }

  /// Puts the entry of a row; false if the row is damaged.
  func restoreRow(_ slot: UInt32, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
    var stored: StateCell
    if layout.keys.isBytes {
      if case .fixedBytes(let width) = keyStorage, key.count != width { return false }
      stored = StateCell(bytes: key)
    } else {
      guard key.count == 8 else { return false }
      stored = StateCell(
        word: Int64(bitPattern: UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)) ^ (1 << 63)))
    }
    guard let flags = value.first, flags <= 1 else { return false }
    let start = flags == 0 ? 1 : 9
    guard value.count >= start else { return false }
    let stamp = flags == 0 ? nil : Int64(littleEndian: value.loadUnaligned(fromByteOffset: 1, as: Int64.self))
    let content = UnsafeRawBufferPointer(rebasing: value[start...])
    var cell = StateCell(bytes: content)
    if !layout.values.isBytes {
      guard content.count == 8 else { return false }
      cell = StateCell(word: Int64(littleEndian: content.loadUnaligned(as: Int64.self)))
    }
    restore(slot, keyOrder.shown(stored), cell, stamp: stamp)
    return true
  }
}

extension ListStateColumn {
  /// Elements in the entry form: as many as a chunk has, or fewer at the end.
  func appendChunk(_ slot: UInt32, from first: Int, count: Int, to bytes: inout [UInt8]) {
    let isTimed = expiry != nil
    bytes.append(2)
    bytes.append((isTimed ? 1 : 0) | (form.isBytes ? 2 : 0))
    StoreNumbers.append(Int64(count), to: &bytes)
    forEachStored(slot, from: first, count: count) { cell, stamp in
      if form.isBytes {
        StoreNumbers.append(UInt32(cell.bytes.count), to: &bytes)
        bytes.append(contentsOf: cell.bytes)
      } else {
        StoreNumbers.append(cell.word, to: &bytes)
      }
      if isTimed { StoreNumbers.append(stamp, to: &bytes) }
    }
  }
}

extension StateColumn {
  /// Fills the slot, which is empty, from the rows of a large list or map: those of the family whose keys begin with `prefix`. The key's row
  /// says that they have `count` elements or entries. Throws `.storageCorrupt`, naming store and state, where they do not.
  final func restoreRows(
    _ slot: UInt32, count expected: Int, of store: any KeyValueStore, _ family: StoreFamily, _ prefix: [UInt8]
  ) throws(EngineError) {
    let cursor = try store.cursor(family, .prefix(prefix))
    defer { cursor.close() }
    var count = 0
    while try cursor.next() {
      let rest = UnsafeRawBufferPointer(rebasing: cursor.key[prefix.count...])
      switch self {
      case let map as MapStateColumn:
        guard map.restoreRow(slot, rest, cursor.value) else {
          throw store.damaged("an entry of state '\(descriptor.name)' is damaged")
        }
        count += 1
      case let list as ListStateColumn:
        do { try list.addEntries(slot, cursor.value) } catch { throw store.damaged(error.message) }
        count = list.storedCount(of: slot)
      default: throw store.damaged("state '\(descriptor.name)' has rows of its own, as only lists and maps have")
      }
    }
    guard count == expected, count > 0 else {
      throw store.damaged(
        "state '\(descriptor.name)' has \(count) elements or entries for one key, and its row says \(expected)")
    }
  }
}

/// Little-endian numbers, as the entry form has them.
enum StoreNumbers {
  static func append<Value: FixedWidthInteger>(_ value: Value, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }
}
