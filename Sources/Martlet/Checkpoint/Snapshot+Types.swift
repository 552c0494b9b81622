// How schemas and state declarations are written in a snapshot.

extension ByteWriter {
  mutating func schema(_ schema: Schema) {
    metadata(schema.metadata)
    integer(UInt16(schema.fields.count))
    for field in schema.fields { self.field(field) }
  }

  private mutating func field(_ field: Field) {
    text(field.name)
    text(field.type.format)
    var flags: UInt8 = field.isNullable ? 1 : 0
    var dictionary: DataType?
    switch field.type {
    case .map(_, keysSorted: true): flags |= 2
    case .dictionary(_, let value, let ordered):
      flags |= ordered ? 4 | 8 : 8
      dictionary = value
    default: break
    }
    integer(flags)
    metadata(field.metadata)
    let children = field.type.children
    integer(UInt16(children.count))
    for child in children { self.field(child) }
    if let dictionary { self.field(Field("", dictionary)) }
  }

  private mutating func metadata(_ metadata: [UInt8]?) { short(metadata ?? []) }

  mutating func state(_ state: StateDescriptor) {
    text(state.name)
    integer(state.kind.code)
    integer(state.kind.reducerCode)
    type(state.type)
    if let key = state.kind.mapKey { type(key) }
    integer(UInt8(state.ttl == nil ? 0 : 1))
    if let ttl = state.ttl {
      integer(ttl.milliseconds)
      integer(UInt8(ttl.domain == .event ? 1 : 0))
      integer(UInt8((ttl.refreshesOnRead ? 1 : 0) | (ttl.showsExpired ? 2 : 0)))
    }
  }

  /// The Arrow format; an empty text is any value.
  private mutating func type(_ type: StateType) {
    switch type {
    case .typed(let type): text(type.format)
    case .encoded: text("")
    }
  }
}

extension ByteReader {
  mutating func schema() throws(Malformed) -> Schema {
    let metadata = try metadata()
    var fields: [Field] = []
    for _ in 0..<(try integer(UInt16.self)) { fields.append(try field(depth: 1)) }
    return Schema(fields, metadata: metadata)
  }

  /// Deeper than any type that somebody uses, and far from the end of the stack.
  private static var deepestField: Int { 100 }

  private mutating func field(depth: Int) throws(Malformed) -> Field {
    guard depth <= ByteReader.deepestField else { throw Malformed() }
    let name = try text()
    let format = try text()
    let flags = try integer(UInt8.self)
    let metadata = try metadata()
    var children: [Field] = []
    for _ in 0..<(try integer(UInt16.self)) { children.append(try field(depth: depth + 1)) }
    guard var type = DataType(format: format, children: children, keysSorted: flags & 2 != 0) else { throw Malformed() }
    if flags & 8 != 0 {
      guard type.isInteger else { throw Malformed() }
      type = .dictionary(index: type, value: try field(depth: depth + 1).type, ordered: flags & 4 != 0)
    }
    return Field(name, type, isNullable: flags & 1 != 0, metadata: metadata)
  }

  private mutating func metadata() throws(Malformed) -> [UInt8]? {
    let bytes = try short()
    return bytes.isEmpty ? nil : Array(bytes)
  }

  mutating func state() throws(Malformed) -> StateDescriptor {
    let name = try text()
    let code = try integer(UInt8.self)
    let reducer = try integer(UInt8.self)
    let type = try type()
    guard let kind = StateKind(code, reducer, key: code == 3 || code == 6 ? try self.type() : nil) else {
      throw Malformed()
    }
    var ttl: StateTTL?
    if try flag() {
      let milliseconds = try integer(Int64.self)
      let isEvent = try flag()
      let flags = try integer(UInt8.self)
      ttl = try? StateTTL(
        milliseconds: milliseconds, domain: isEvent ? .event : .processing, refreshesOnRead: flags & 1 != 0,
        showsExpired: flags & 2 != 0)
      if ttl == nil { throw Malformed() }
    }
    do { return try StateDescriptor(name, type, kind: kind, ttl: ttl) } catch { throw Malformed() }
  }

  private mutating func type() throws(Malformed) -> StateType {
    let format = try text()
    if format.isEmpty { return .encoded }
    guard let type = DataType(flatFormat: format) else { throw Malformed() }
    return .typed(type)
  }
}

extension StateKind {
  /// The number of the kind in a snapshot.
  fileprivate var code: UInt8 {
    switch self {
    case .value: 1
    case .list: 2
    case .map: 3
    case .reducing: 4
    case .aggregating: 5
    case .broadcast: 6
    }
  }

  fileprivate var reducerCode: UInt8 {
    if case .reducing(let reducer) = self { UInt8(reducer.rawValue) } else { 0 }
  }

  fileprivate init?(_ code: UInt8, _ reducer: UInt8, key: StateType?) {
    switch (code, key) {
    case (1, nil): self = .value
    case (2, nil): self = .list
    case (3, let key?): self = .map(key)
    case (4, nil):
      guard let reducer = Reducer(rawValue: Int32(reducer)) else { return nil }
      self = .reducing(reducer)
    case (5, nil): self = .aggregating
    case (6, let key?): self = .broadcast(key)
    default: return nil
    }
  }
}
