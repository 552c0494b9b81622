import CMartlet

/// One column of a schema, or one child of a nested type.
public struct Field: Hashable, Sendable {
  public let name: String
  public let type: DataType
  public let isNullable: Bool
  /// The key-value metadata as the C data interface encodes it, carried through untouched.
  public let metadata: [UInt8]?

  public init(_ name: String, _ type: DataType, isNullable: Bool = true, metadata: [UInt8]? = nil) {
    self.name = name
    self.type = type
    self.isNullable = isNullable
    self.metadata = metadata
  }
}

extension Field: CustomStringConvertible {
  public var description: String { "\(name): \(type)\(isNullable ? "" : " not null")" }
}

/// The columns of a record batch.
public struct Schema: Sendable {
  public let fields: [Field]
  public let metadata: [UInt8]?
  private let layout: ColumnLayout

  public init(_ fields: [Field], metadata: [UInt8]? = nil) {
    self.fields = fields
    self.metadata = metadata
    self.layout = ColumnLayout(fields)
  }

  /// The position of the first column of that name.
  public func index(of name: String) -> Int? { fields.firstIndex { $0.name == name } }

  /// One `martlet_column` per field: type, unit, name and children filled in, no buffers and no rows. Valid as long as a
  /// copy of this schema lives.
  public var templates: UnsafeBufferPointer<martlet_column> { layout.columns }

  /// The same pattern as an object to retain, and the number of columns in all its trees.
  var columnLayout: ColumnLayout { layout }
}

extension Schema: Hashable {
  public static func == (left: Schema, right: Schema) -> Bool {
    left.layout === right.layout || (left.fields == right.fields && left.metadata == right.metadata)
  }
  public func hash(into hasher: inout Hasher) { hasher.combine(fields) }
}

extension Schema: CustomStringConvertible {
  public var description: String { fields.map(\.description).joined(separator: ", ") }
}

extension Schema {
  /// Why rows of `source` cannot go into columns of this schema, or nil if they can: names and types must be equal,
  /// in order; metadata and the names of list items do not matter. Nullability is judged by the values.
  func misfit(of source: Schema) -> EngineError? {
    for (position, (mine, theirs)) in zip(fields, source.fields).enumerated() {
      if mine.name != theirs.name {
        return EngineError(
          .schemaMismatch,
          "column \(position): expected '\(mine.name)' (\(mine.type)), got '\(theirs.name)' (\(theirs.type)); emit columns in the order of the output schema"
        )
      }
      if !mine.type.holds(theirs.type) {
        return EngineError(.schemaMismatch, "column '\(mine.name)': expected \(mine.type), got \(theirs.type)")
      }
    }
    if fields.count == source.fields.count { return nil }
    if fields.count > source.fields.count {
      let missing = fields[source.fields.count]
      return EngineError(
        .schemaMismatch,
        "column '\(missing.name)' (\(missing.type)) of the output schema is missing from the emitted batch")
    }
    let extra = source.fields[fields.count]
    return EngineError(
      .schemaMismatch, "column '\(extra.name)' (\(extra.type)) of the emitted batch is not in the output schema")
  }

  /// Whether every place that may be null in `source` may be null here too, so that its buffers can be relabelled.
  func isAsNullable(as source: Schema) -> Bool { zip(fields, source.fields).allSatisfy { $0.isAsNullable(as: $1) } }
}

extension Field {
  fileprivate func isAsNullable(as source: Field) -> Bool {
    (isNullable || !source.isNullable)
      && zip(type.children, source.type.children).allSatisfy { $0.isAsNullable(as: $1) }
  }
}

extension DataType {
  /// Equality but for nullability, metadata and the names of list items and map entries.
  func holds(_ other: DataType) -> Bool {
    switch (self, other) {
    case (.list(let mine), .list(let theirs)), (.largeList(let mine), .largeList(let theirs)):
      mine.type.holds(theirs.type)
    case (.fixedSizeList(let mine, let width), .fixedSizeList(let theirs, let theirWidth)):
      width == theirWidth && mine.type.holds(theirs.type)
    case (.map(let mine, _), .map(let theirs, _)):
      zip(mine.type.children, theirs.type.children).allSatisfy { $0.type.holds($1.type) }
    case (.structure(let mine), .structure(let theirs)):
      mine.count == theirs.count && zip(mine, theirs).allSatisfy { $0.name == $1.name && $0.type.holds($1.type) }
    case (.dictionary(let index, let value, _), .dictionary(let theirIndex, let theirValue, _)):
      index == theirIndex && value.holds(theirValue)
    default: self == other
    }
  }
}
