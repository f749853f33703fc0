import { equalBytes } from '@cumulus/bytes'
import { registrationMessage } from '@cumulus/ledger/modules'
import type { PeerIdentity } from '@cumulus/network'
import type { Params } from '@cumulus/params'
import { type Logger, sleep } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import type { ChainMiner, MinerChain } from './miner-chain.ts'
import { MinerError } from './miner-error.ts'

export interface RegistrationWish {
  readonly units: number
  readonly addresses: string
  readonly region: string
  /** Default: the own account. */
  readonly beneficiary?: Address
}

/** What registering costs besides the stake, generously: 0.01 token. */
const FEE_RESERVE = 10n ** 16n
const FUNDS_POLL_MS = 1000
/** Between two reminders that funds are missing. */
const REMINDER_MS = 60_000

/**
 * The miner's entry on chain, made or brought up to date. Waits for funds as long as it takes.
 *
 * @throws MinerError OTHER_PEER_KEY | SPACE_TOO_SMALL
 */
export async function ensureRegistered(
  components: { chain: MinerChain; identity: PeerIdentity; params: Params; log: Logger },
  wish: RegistrationWish,
  { signal }: { signal: AbortSignal },
): Promise<ChainMiner> {
  const { chain, identity, params, log } = components
  const known = await chain.miner()
  if (!known) {
    const stake = BigInt(wish.units) * params.stakePerUnit
    await waitForFunds(chain, stake + FEE_RESERVE, log, signal)
    await chain.register({
      peerKey: identity.publicKey,
      addresses: wish.addresses,
      beneficiary: wish.beneficiary ?? chain.account,
      units: wish.units,
      region: wish.region,
      peerSignature: identity.sign(registrationMessage(params.chainId, chain.account)),
      stake,
    })
    log.info('registered', { account: chain.account, units: wish.units, stake })
    const made = await chain.miner()
    if (!made) throw new Error('the chain forgot a registration that it had confirmed')
    return made
  }
  if (!equalBytes(known.peerKey, identity.publicKey)) {
    throw new MinerError(
      'OTHER_PEER_KEY',
      'the account is registered with another peer key: is this the right folder?',
      {
        account: chain.account,
        registered: known.peerKey.toHex(),
        own: identity.publicKey.toHex(),
      },
    )
  }
  if (known.declaredUnits > wish.units) {
    throw new MinerError('SPACE_TOO_SMALL', 'more units are declared on chain than this space holds', {
      declaredUnits: known.declaredUnits,
      usableUnits: wish.units,
    })
  }
  if (known.addresses !== wish.addresses || known.region !== wish.region) {
    await chain.update(wish.addresses, wish.region)
    log.info('entry updated', { addresses: wish.addresses, region: wish.region })
  }
  if (known.declaredUnits < wish.units && known.state === 'active') {
    const needed = BigInt(wish.units) * params.stakePerUnit - known.stake
    const stake = needed > 0n ? needed : 0n
    await waitForFunds(chain, stake + FEE_RESERVE, log, signal)
    await chain.declareUnits(wish.units, stake)
    log.info('more space declared', { units: wish.units, before: known.declaredUnits })
  }
  return (await chain.miner()) ?? known
}

async function waitForFunds(chain: MinerChain, needed: bigint, log: Logger, signal: AbortSignal): Promise<void> {
  let remindAtMs = Number.NEGATIVE_INFINITY
  for (;;) {
    const balance = await chain.balance()
    if (balance >= needed) return
    if (performance.now() >= remindAtMs) {
      log.warn('waiting for funds: send tokens to this account', { account: chain.account, balance, needed })
      remindAtMs = performance.now() + REMINDER_MS
    }
    await sleep(FUNDS_POLL_MS, signal)
  }
}
