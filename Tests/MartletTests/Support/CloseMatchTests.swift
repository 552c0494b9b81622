import Testing

@testable import Martlet

@Suite struct CloseMatchTests {
  private let names = ["user_id", "amount", "ts", "Timestamp", "é"]

  @Test(arguments: [
    ("userid", "user_id"), ("USER_ID", "user_id"), ("usre_id", "user_id"), ("amuont", "amount"), ("amounts", "amount"),
    ("timestamp", "Timestamp"), ("timestmap", "Timestamp"), ("É", "é"),
  ])
  func slips(_ name: String, _ meant: String) { #expect(closeMatch(name, among: names) == meant) }

  @Test(arguments: ["", "tz", "price", "uid", "x", String(repeating: "user_id", count: 50)])
  func otherNames(_ name: String) { #expect(closeMatch(name, among: names) == nil) }

  @Test func theClosestWins() {
    #expect(closeMatch("user_ib", among: ["user_ids", "user_id", "user_it"]) == "user_id")
    #expect(closeMatch("a", among: []) == nil)
  }

  @Test func messages() {
    let schema = Schema([Field("user_id", .int64), Field("ts", .int64)])
    let error = schema.missing("userid", as: "key column")
    #expect(
      error.kind == .missingColumn
        && error.message == "there is no key column 'userid' (did you mean 'user_id'?); the columns are 'user_id', 'ts'"
    )
    #expect(schema.missing("x").message == "there is no column 'x'; the columns are 'user_id', 'ts'")
    #expect(Schema([]).missing("x").message == "there is no column 'x'; there are no columns")
    let wide = Schema((0..<150).map { Field("c\($0)", .int64) })
    #expect(wide.missing("other").message.hasSuffix("'c99' and 50 more"))
  }
}
