import CMartlet

@_cdecl("martlet_abi_version")
public func martletABIVersion() -> UInt32 { UInt32(MARTLET_ABI_VERSION) }
