/// The columns of a state's table, which is what `StateReader` gives and `StateBuilder` takes:
///
/// | kind | columns after those of the key |
/// |---|---|
/// | value, reducing | `value` |
/// | aggregating | `accumulator` |
/// | list | `index` (int64, from 0), `value` |
/// | map | `map_key`, `value` |
/// | broadcast | the same, without a key |
///
/// and, with a TTL, `expires_at`: int64, milliseconds in the time that the TTL counts; null where a value counts from the restore.
/// The timers of an operator: `domain` (`event` or `processing`), `time` (int64, milliseconds), `name` (null for none).
///
/// A column that a key column leaves no room for has a `_` behind its name. A value without a type is its text (`DynamicText`).
struct StateTableLayout {
  let keys: [Field]
  let state: StateDescriptor
  let schema: Schema
  let index: Int?
  let mapKey: Int?
  let value: Int
  let expiresAt: Int?

  init(_ keys: [Field], _ state: StateDescriptor) {
    self.keys = state.kind.isBroadcast ? [] : keys
    self.state = state
    var fields = self.keys
    func add(_ name: String, _ type: DataType, isNullable: Bool = false) -> Int {
      fields.append(Field(StateTableLayout.free(name, keys), type, isNullable: isNullable))
      return fields.count - 1
    }
    index = if case .list = state.kind { add("index", .int64) } else { nil }
    mapKey = state.kind.mapKey.map { add("map_key", StateTableLayout.type(of: $0)) }
    value = add(
      state.kind == .aggregating ? "accumulator" : "value", StateTableLayout.type(of: state.type))
    expiresAt = state.ttl == nil ? nil : add("expires_at", .int64, isNullable: true)
    schema = Schema(fields)
  }

  /// As what a state's values stand in a table.
  static func type(of type: StateType) -> DataType {
    switch type {
    case .typed(let type): type
    case .encoded: .utf8
    }
  }

  static func free(_ name: String, _ keys: [Field]) -> String {
    var name = name
    while keys.contains(where: { $0.name == name }) { name += "_" }
    return name
  }

  /// The number of rows per key is one: duplicates have no place.
  var hasOneRowPerKey: Bool { index == nil && mapKey == nil }
}

/// The columns of a table of timers.
struct TimerTableLayout {
  let keys: [Field]
  let schema: Schema
  var domain: Int { keys.count }
  var time: Int { keys.count + 1 }
  var name: Int { keys.count + 2 }

  init(_ keys: [Field]) {
    self.keys = keys
    schema = Schema(
      keys + [
        Field(StateTableLayout.free("domain", keys), .utf8, isNullable: false),
        Field(StateTableLayout.free("time", keys), .int64, isNullable: false),
        Field(StateTableLayout.free("name", keys), .utf8),
      ])
  }
}

extension SnapshotHeader {
  /// The key columns as a table has them: of the values' type where the input had a dictionary, of type null where nothing is known of them.
  func keyFields() throws(EngineError) -> (fields: [Field], schema: KeySchema?) {
    guard let source = keySource else { return (keyColumns.map { Field($0, .null) }, nil) }
    let schema = try KeySchema(source.columns, in: source.schema)
    let fields = schema.parts.map { part in
      Field(part.name, schema.schema.fields[part.column].type.valueType, isNullable: false)
    }
    return (fields, schema)
  }
}
