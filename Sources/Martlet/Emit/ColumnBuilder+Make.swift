extension ColumnBuilder {
  /// An empty builder for a field of any type.
  public static func make(for field: Field) throws(EngineError) -> ColumnBuilder {
    switch field.type {
    case .null: NullColumnBuilder(field)
    case .bool: BoolColumnBuilder(field)
    case .int8: FixedWidthColumnBuilder(field, .int8)
    case .int16: FixedWidthColumnBuilder(field, .int16)
    case .int32, .date32, .time32: FixedWidthColumnBuilder(field, .int32)
    case .int64, .date64, .time64, .timestamp, .duration: FixedWidthColumnBuilder(field, .int64)
    case .uint8: FixedWidthColumnBuilder(field, .uint8)
    case .uint16: FixedWidthColumnBuilder(field, .uint16)
    case .uint32: FixedWidthColumnBuilder(field, .uint32)
    case .uint64: FixedWidthColumnBuilder(field, .uint64)
    case .float16: FixedWidthColumnBuilder(field, .float16)
    case .float32: FixedWidthColumnBuilder(field, .float32)
    case .float64: FixedWidthColumnBuilder(field, .float64)
    case .interval, .decimal128, .decimal256, .fixedSizeBinary: FixedWidthColumnBuilder(field, .raw)
    case .utf8, .binary, .largeUtf8, .largeBinary: VariableWidthColumnBuilder(field)
    case .utf8View, .binaryView: ViewColumnBuilder(field)
    case .list(let item), .largeList(let item), .map(let item, _): ListColumnBuilder(field, items: try make(for: item))
    case .fixedSizeList(let item, let width):
      FixedSizeListColumnBuilder(field, items: try make(for: item), width: width)
    case .structure(let fields):
      StructColumnBuilder(field, try fields.map { child throws(EngineError) in try make(for: child) })
    case .dictionary(let index, let value, _): try DictionaryColumnBuilder(field, index: index, value: value)
    }
  }
}
