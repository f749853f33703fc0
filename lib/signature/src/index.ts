export { ED25519_PUBLIC_KEY_BYTES, ED25519_SIGNATURE_BYTES, Ed25519Key, verifyEd25519 } from './ed25519.ts'
export { recoverSecp256k1, secp256k1Address, secp256k1Backend, secp256k1PublicKey, signSecp256k1 } from './secp256k1.ts'
