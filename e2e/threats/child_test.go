package threats
const envChild = "DOMAIN_ROUTE_THREATS_CHILD"
func child(mode string) int { return 1 }
