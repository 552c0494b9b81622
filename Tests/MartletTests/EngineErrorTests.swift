import Martlet
import Testing

@Suite struct EngineErrorTests {
  @Test func descriptionNamesThePlace() {
    var error = EngineError(.nullKey, "null key")
    error.operatorName = "count"
    error.record = 7
    error.key = "'a'"
    #expect(error.description == "null key in operator 'count' at record 7 with key 'a'")
  }
}
