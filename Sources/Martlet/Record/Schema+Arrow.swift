import CMartlet

// Schemas in and out through the Arrow C data interface.

extension Schema {
  /// Reads a struct schema, which stays the caller's. Errors: not a struct (`.schemaMismatch`), a type the
  /// engine does not carry (`.unsupportedType`, naming column and format).
  public init(importing schema: UnsafePointer<ArrowSchema>) throws(EngineError) {
    guard schema.pointee.release != nil else {
      throw EngineError(.invalidArgument, "the Arrow schema was already released or moved; pass one that is still live")
    }
    let root = try Field(importing: schema, path: "")
    guard case .structure(let fields) = root.type else {
      throw EngineError(
        .schemaMismatch,
        "expected record batches (an Arrow struct), got a plain array of type \(root.type); wrap it in a record batch")
    }
    self.init(fields, metadata: root.metadata)
  }

  /// Writes a struct schema; its `release` is the caller's to call.
  public func export(into schema: UnsafeMutablePointer<ArrowSchema>) {
    Field("", .structure(fields), isNullable: false, metadata: metadata).export(into: schema)
  }
}

extension Field {
  /// Reads one field. `path` names the enclosing columns, for errors.
  init(importing schema: UnsafePointer<ArrowSchema>, path: String) throws(EngineError) {
    let source = schema.pointee
    let name = source.name.map { String(cString: $0) } ?? ""
    let place = path.isEmpty ? name : "\(path).\(name)"
    guard let formatText = source.format else {
      throw EngineError(.schemaMismatch, "column '\(place)': the Arrow schema has no format string")
    }
    let format = String(cString: formatText)
    guard source.n_children >= 0, source.n_children == 0 || source.children != nil else {
      throw EngineError(
        .schemaMismatch,
        "column '\(place)': the Arrow schema announces \(source.n_children) children but has no list of them")
    }
    var children: [Field] = []
    for position in 0..<Int(source.n_children) {
      guard let child = source.children[position] else {
        throw EngineError(.schemaMismatch, "column '\(place)': child \(position) of the Arrow schema is missing")
      }
      children.append(try Field(importing: child, path: place))
    }
    let keysSorted = source.flags & Int64(ARROW_FLAG_MAP_KEYS_SORTED) != 0
    guard var type = DataType(format: format, children: children, keysSorted: keysSorted) else {
      throw EngineError(
        .unsupportedType,
        "column '\(place)' has the Arrow format '\(format)'\(Self.hint(format)), which the engine does not carry; cast it to another type first"
      )
    }
    if let dictionary = source.dictionary {
      let value = try Field(importing: dictionary, path: place)
      guard type.isInteger else {
        throw EngineError(.unsupportedType, "column '\(place)': a dictionary is indexed by integers, not by \(type)")
      }
      type = .dictionary(
        index: type, value: value.type, ordered: source.flags & Int64(ARROW_FLAG_DICTIONARY_ORDERED) != 0)
    }
    let metadata = try source.metadata.map { text throws(EngineError) in try ArrowMetadata.bytes(text, place) }
    self.init(name, type, isNullable: source.flags & Int64(ARROW_FLAG_NULLABLE) != 0, metadata: metadata)
  }

  private static func hint(_ format: String) -> String {
    if format.hasPrefix("+u") { return " (a union)" }
    if format == "+r" { return " (run-end encoded)" }
    if format.hasPrefix("+v") { return " (a list view)" }
    if format.hasPrefix("d:") { return " (a decimal of another width than 128 or 256 bits)" }
    return ""
  }

  /// Writes one field, with its children and dictionary.
  func export(into schema: UnsafeMutablePointer<ArrowSchema>) {
    var flags = isNullable ? Int64(ARROW_FLAG_NULLABLE) : 0
    var dictionary: Field?
    switch type {
    case .map(_, keysSorted: true): flags |= Int64(ARROW_FLAG_MAP_KEYS_SORTED)
    case .dictionary(_, let value, let ordered):
      if ordered { flags |= Int64(ARROW_FLAG_DICTIONARY_ORDERED) }
      dictionary = Field("", value)
    default: break
    }
    let holder = ExportedSchema(self, dictionary)
    schema.initialize(
      to: ArrowSchema(
        format: holder.format, name: holder.name, metadata: holder.metadata, flags: flags,
        n_children: Int64(holder.children.count),
        children: holder.children.baseAddress, dictionary: holder.dictionary,
        release: { schema in
          guard let schema, let holder = schema.pointee.private_data else { return }
          schema.pointee.release = nil
          Unmanaged<ExportedSchema>.fromOpaque(holder).release()
        }, private_data: Unmanaged.passRetained(holder).toOpaque()))
  }
}

/// What one exported schema node owns. Each node has its own, since a consumer may move a child out of its parent: the child's
/// `release` is then nil in the parent's list, and the parent leaves it alone.
private final class ExportedSchema {
  let format: UnsafeMutablePointer<CChar>
  let name: UnsafeMutablePointer<CChar>
  let metadata: UnsafeMutablePointer<CChar>?
  let children: UnsafeMutableBufferPointer<UnsafeMutablePointer<ArrowSchema>?>
  let dictionary: UnsafeMutablePointer<ArrowSchema>?

  init(_ field: Field, _ dictionaryField: Field?) {
    format = CString.copy(field.type.format)
    name = CString.copy(field.name)
    metadata = field.metadata.map { bytes in
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
      for (position, byte) in bytes.enumerated() { (copy + position).initialize(to: CChar(bitPattern: byte)) }
      return copy
    }
    let fields = field.type.children
    children = .allocate(capacity: fields.count)
    for (position, child) in fields.enumerated() {
      let node = UnsafeMutablePointer<ArrowSchema>.allocate(capacity: 1)
      child.export(into: node)
      children.initializeElement(at: position, to: node)
    }
    dictionary = dictionaryField.map { field in
      let node = UnsafeMutablePointer<ArrowSchema>.allocate(capacity: 1)
      field.export(into: node)
      return node
    }
  }

  deinit {
    for case let node? in Array(children) + [dictionary] {
      node.pointee.release?(node)
      node.deallocate()
    }
    children.deallocate()
    format.deallocate()
    name.deallocate()
    metadata?.deallocate()
  }
}

/// Key-value metadata as the C data interface encodes it: int32 count, then for each pair int32 length and bytes
/// of the key, int32 length and bytes of the value; native byte order.
enum ArrowMetadata {
  static func bytes(_ text: UnsafePointer<CChar>, _ place: String) throws(EngineError) -> [UInt8] {
    let base = UnsafeRawPointer(text)
    let pairs = base.loadUnaligned(as: Int32.self)
    var size = 4
    guard pairs >= 0 else { throw malformed(place) }
    for _ in 0..<(2 * Int(pairs)) {
      let length = base.loadUnaligned(fromByteOffset: size, as: Int32.self)
      guard length >= 0 else { throw malformed(place) }
      size += 4 + Int(length)
    }
    return Array(UnsafeRawBufferPointer(start: base, count: size))
  }

  private static func malformed(_ place: String) -> EngineError {
    EngineError(.schemaMismatch, "column '\(place)': the metadata of the Arrow schema has a negative length")
  }
}
