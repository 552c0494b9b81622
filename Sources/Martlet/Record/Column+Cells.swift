import CMartlet

// Reading single cells. Callers know the type: a reading that does not fit it gives zero or empty bytes, never a trap.

extension martlet_column {
  /// Whether the cell is null, by the bitmap or as a null in the dictionary.
  @inline(__always)
  public func isNull(_ row: Int) -> Bool {
    if null_count != 0 {
      guard let validity else { return true }
      if !Bitmap.get(validity, Int(offset) + row) { return true }
    }
    guard let dictionary else { return false }
    return dictionary.pointee.null_count != 0 && dictionary.pointee.isNull(index(row))
  }

  /// The element of a column whose values buffer holds `T`.
  @inline(__always)
  public func value<T: BitwiseCopyable>(_ row: Int, as: T.Type) -> T {
    values.loadUnaligned(fromByteOffset: (Int(offset) + row) * MemoryLayout<T>.stride, as: T.self)
  }

  /// The cell of an integer, bool, date, time, timestamp or duration column, in the column's own unit; of a
  /// dictionary of such, the value. A uint64 keeps its bits.
  @inline(__always)
  public func int64(_ row: Int) -> Int64 {
    if dictionary == nil && width == 8 { return value(row, as: Int64.self) }
    return narrowInt64(row)
  }

  /// The cell of a float or integer column as a double; of a dictionary of such, the value.
  public func double(_ row: Int) -> Double {
    if let dictionary { return dictionary.pointee.double(index(row)) }
    switch martlet_type(UInt32(type)) {
    case MARTLET_TYPE_FLOAT16: return Double(value(row, as: Float16.self))
    case MARTLET_TYPE_FLOAT32: return Double(value(row, as: Float.self))
    case MARTLET_TYPE_FLOAT64: return value(row, as: Double.self)
    case MARTLET_TYPE_UINT64: return Double(value(row, as: UInt64.self))
    default: return Double(int64(row))
    }
  }

  /// The bytes of a utf8 or binary cell of any layout, or the raw element of a fixed-width one; of a dictionary of such, the value.
  /// Borrowed from the batch.
  @inline(__always)
  public func bytes(_ row: Int) -> UnsafeRawBufferPointer {
    if type == Int32(MARTLET_TYPE_UTF8.rawValue) {
      let offsets = values.assumingMemoryBound(to: Int32.self) + Int(offset) + row
      return UnsafeRawBufferPointer(start: data + Int(offsets[0]), count: Int(offsets[1] - offsets[0]))
    }
    return otherBytes(row)
  }

  /// The position in the dictionary. Only for dictionary-encoded columns whose cell is not null by the bitmap.
  @inline(__always)
  func index(_ row: Int) -> Int { Int(truncatingIfNeeded: storedInteger(row)) }

  private func narrowInt64(_ row: Int) -> Int64 { dictionary?.pointee.int64(index(row)) ?? storedInteger(row) }

  private func storedInteger(_ row: Int) -> Int64 {
    switch martlet_type(UInt32(type)) {
    case MARTLET_TYPE_BOOL: Bitmap.get(values.assumingMemoryBound(to: UInt8.self), Int(offset) + row) ? 1 : 0
    case MARTLET_TYPE_UINT8: Int64(value(row, as: UInt8.self))
    case MARTLET_TYPE_UINT16: Int64(value(row, as: UInt16.self))
    case MARTLET_TYPE_UINT32: Int64(value(row, as: UInt32.self))
    default:
      switch width {
      case 1: Int64(value(row, as: Int8.self))
      case 2: Int64(value(row, as: Int16.self))
      case 4: Int64(value(row, as: Int32.self))
      case 8: value(row, as: Int64.self)
      default: 0
      }
    }
  }

  private func otherBytes(_ row: Int) -> UnsafeRawBufferPointer {
    if let dictionary { return dictionary.pointee.bytes(index(row)) }
    let element = Int(offset) + row
    switch bufferKind {
    case .fixed: return UnsafeRawBufferPointer(start: values.map { $0 + element * Int(width) }, count: Int(width))
    case .offsets32 where n_children == 0:
      let offsets = values.assumingMemoryBound(to: Int32.self) + element
      return UnsafeRawBufferPointer(start: data + Int(offsets[0]), count: Int(offsets[1] - offsets[0]))
    case .offsets64 where n_children == 0:
      let offsets = values.assumingMemoryBound(to: Int64.self) + element
      return UnsafeRawBufferPointer(start: data + Int(offsets[0]), count: Int(offsets[1] - offsets[0]))
    case .views:
      // int32 length, then either up to 12 bytes, or a 4-byte prefix, int32 buffer and int32 offset.
      let view = values + element * 16
      let length = Int(view.loadUnaligned(as: Int32.self))
      if length <= 12 { return UnsafeRawBufferPointer(start: view + 4, count: length) }
      let buffer = Int(view.loadUnaligned(fromByteOffset: 8, as: Int32.self))
      let start = Int(view.loadUnaligned(fromByteOffset: 12, as: Int32.self))
      return UnsafeRawBufferPointer(start: variadic[buffer].map { $0 + start }, count: length)
    case .none, .bits, .nested, .offsets32, .offsets64: return UnsafeRawBufferPointer(start: nil, count: 0)
    }
  }
}
