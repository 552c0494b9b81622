/// Division that rounds towards minus infinity; `divisor` is positive.
@inline(__always)
func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
  let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
  return remainder < 0 ? quotient - 1 : quotient
}

extension FixedWidthInteger {
  /// Addition that stops at the ends of the type.
  @inline(__always)
  func saturatingAdding(_ other: Self) -> Self {
    let (result, overflow) = addingReportingOverflow(other)
    return overflow ? (other < 0 ? .min : .max) : result
  }

  /// Subtraction that stops at the ends of the type.
  @inline(__always)
  func saturatingSubtracting(_ other: Self) -> Self {
    let (result, overflow) = subtractingReportingOverflow(other)
    return overflow ? (other < 0 ? .max : .min) : result
  }
}
