package auth

// EndIdle ends the process that hashes, as if nothing had been hashed for hashIdle.
func (p *Passwords) EndIdle() { p.endIdle() }

// TokensMax bounds the JWTs that are remembered.
const TokensMax = tokensMax
