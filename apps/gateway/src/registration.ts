import { ByteWriter, bytesToHex, equalBytes, hexToBytes, isZero, utf8Encode } from '@cumulus/bytes'
import { type ChainClient, ChainError } from '@cumulus/chain'
import type { PeerIdentity } from '@cumulus/network'
import type { Params } from '@cumulus/params'
import { type Logger, sleep } from '@cumulus/service'

const FUNDS_POLL_MS = 1_000

/** Makes the register say who and where this gateway is. Waits while the account cannot pay for it. */
export async function ensureRegistered(
  components: { chain: ChainClient; identity: PeerIdentity; params: Params; log: Logger },
  wish: { addresses: string; endpoint: string },
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const { chain, identity, params, log } = components
  const entry = await chain.read('Gateways', 'gatewayOf', [chain.account])
  let peerKey = hexToBytes(entry.peerKey)
  if (!isZero(peerKey) && !equalBytes(peerKey, identity.publicKey)) {
    // Whoever has the account's key may say so: the folder with the old key was lost, or the gateway has moved.
    log.warn('the account was registered with another peer key: it is registered anew', { account: chain.account })
    await chain.send('Gateways', 'remove', [], { signal })
    peerKey = new Uint8Array(32)
  }
  if (!isZero(peerKey) && entry.addresses === wish.addresses && entry.endpoint === wish.endpoint) return
  for (let told = false; ; ) {
    try {
      if (isZero(peerKey)) {
        const message = new ByteWriter()
          .bytes(utf8Encode('cumulus/register/1'))
          .u64(BigInt(params.chainId))
          .bytes(hexToBytes(chain.account))
          .finish()
        const signature = bytesToHex(identity.sign(message))
        const key = bytesToHex(identity.publicKey)
        await chain.send('Gateways', 'register', [key, wish.addresses, wish.endpoint, signature], { signal })
      } else await chain.send('Gateways', 'update', [wish.addresses, wish.endpoint], { signal })
      log.info('registered', { account: chain.account, addresses: wish.addresses })
      return
    } catch (error) {
      if (!(error instanceof ChainError) || error.code !== 'INSUFFICIENT_FUNDS') throw error
      if (!told) log.warn('waiting for funds to register', { account: chain.account })
      told = true
      await sleep(FUNDS_POLL_MS, signal)
    }
  }
}
