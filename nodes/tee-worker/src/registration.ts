import { equalBytes } from '@cumulus/bytes'
import { registrationMessage } from '@cumulus/ledger/modules'
import type { PeerIdentity } from '@cumulus/network'
import type { Params } from '@cumulus/params'
import { type Logger, sleep } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import { TeeWorkerError } from './tee-worker-error.ts'
import type { ChainWorker, Evidence, PendingQuote, WorkerChain } from './worker-chain.ts'

export interface RegistrationWish {
  readonly addresses: string
  readonly modes: number
  readonly candidate: Address
  readonly taggerKey: Uint8Array
  readonly powersHash: Uint8Array
}

/** Proof of what this process is, bound to its keys and to a recent chain block. */
export type EvidenceSource = () => Promise<Evidence>

/** What registering costs besides the deposit, generously: quotes and collateral are calldata. */
const FEE_RESERVE = 10n ** 16n
const FUNDS_POLL_MS = 1_000
const REMINDER_MS = 60_000
/** An attestation is renewed when less than this share of its longest time is left. */
const RENEWAL_SHARE = 5n
/** So long the chain takes votes. */
const VOTING_ERAS = 2

/**
 * The worker's entry on chain, made or brought up to date. Waits for funds as long as it takes. A new entry with a quote is
 * `pending` until the committee has voted. Whether its attestation is to be renewed: `isRenewalDue`.
 *
 * @throws TeeWorkerError OTHER_KEY, and what the evidence source throws
 */
export async function ensureRegistered(
  components: {
    chain: WorkerChain
    identity: PeerIdentity
    params: Params
    evidence: EvidenceSource
    log: Logger
  },
  wish: RegistrationWish,
  { signal }: { signal: AbortSignal },
): Promise<ChainWorker> {
  const { chain, identity, params, evidence, log } = components
  const known = await chain.worker()
  if (!known) {
    await waitForFunds(chain, params.audit.workerDeposit + FEE_RESERVE, log, signal)
    const peerSignature = identity.sign(registrationMessage(params.chainId, chain.account))
    await chain.register({ ...wish, ...(await evidence()), peerKey: identity.publicKey, peerSignature })
    log.info('registered', { account: chain.account, addresses: wish.addresses })
  } else {
    if (!equalBytes(known.peerKey, identity.publicKey) || !equalBytes(known.taggerKey, wish.taggerKey)) {
      throw new TeeWorkerError('OTHER_KEY', 'the account is registered with other keys: is this the right folder?', {
        account: chain.account,
        registeredPeerKey: known.peerKey.toHex(),
        ownPeerKey: identity.publicKey.toHex(),
      })
    }
    if (known.addresses !== wish.addresses) await chain.update(wish.addresses)
  }
  const made = await chain.worker()
  if (!made) throw new Error('the chain forgot a registration that it had confirmed')
  return made
}

/**
 * Whether to hand in evidence anew: the attestation ends soon, has ended, was refused, or waits for votes that nobody may cast any
 * more. While votes are cast for a quote, and in the epoch of the last one, the chain would not take another.
 */
export function isRenewalDue(
  entry: Pick<ChainWorker, 'state' | 'expiresAtEpoch'>,
  last: PendingQuote | undefined,
  epoch: bigint,
  { attestationEpochs, epochsPerEra }: { readonly attestationEpochs: number; readonly epochsPerEra: number },
): boolean {
  if (entry.state === 'exiting') return false
  const isVoting = last?.isWaiting && epoch < last.sinceEpoch + BigInt(VOTING_ERAS * epochsPerEra)
  if (isVoting || (last && epoch <= last.sinceEpoch)) return false
  if (entry.state !== 'active') return true
  return entry.expiresAtEpoch <= epoch + BigInt(attestationEpochs) / RENEWAL_SHARE
}

async function waitForFunds(chain: WorkerChain, needed: bigint, log: Logger, signal: AbortSignal): Promise<void> {
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
