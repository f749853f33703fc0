import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { type ChainClient, ChainError } from '@cumulus/chain'
import { keccak256 } from '@cumulus/hash'
import { attestationKind, moduleAbis } from '@cumulus/ledger/modules'
import { type Logger, sleep } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import type { Abi } from 'viem'
import { decodeFunctionData } from 'viem/utils'
import { reportData } from './report-data.ts'
import { TeeError } from './tee-error.ts'
import { verifyQuote } from './verify-quote.ts'

type Hex = `0x${string}`

export interface AttestationVoterInit {
  /** Speaks for a member of the committee: its account pays for the votes. */
  readonly chain: ChainClient
  readonly log: Logger
  readonly signal: AbortSignal
  /** Default: real quotes, by Intel's certificates. */
  readonly verify?: typeof verifyQuote
}

interface Submission {
  readonly account: Address
  readonly quoteHash: Hex
  readonly blockNumber: bigint
  readonly transactionHash: Hex
}

const ZERO_BYTES32: Hex = `0x${'0'.repeat(64)}`
const RETRY_MS = 2_000

/** Workers looked at for quotes that wait, and how many are asked about at once. */
const WORKERS_MAX = 2_000
const PAGE_COUNT = 50

/**
 * Votes on the quotes that TEE workers submit, until `signal` aborts: verified off the chain at the time of the block that
 * holds them, so that all members come to the same vote. Those that were submitted while this member was away come first: a
 * committee of which a third was restarted would else never decide them. Who is no member looks on.
 */
export async function runAttestationVoter(init: AttestationVoterInit): Promise<void> {
  const { chain, log, signal, verify = verifyQuote } = init
  try {
    const fromBlock = await untilAnswered(() => firstWaiting(chain), log, signal)
    const events = chain.events('TeeWorkers', 'AttestationSubmitted', { signal, fromBlock })
    for await (const { args, blockNumber, transactionHash } of events) {
      const { account, quoteHash } = args
      await voteUntilDone(chain, { account, quoteHash, blockNumber, transactionHash }, { log, signal, verify })
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

async function untilAnswered<Value>(ask: () => Promise<Value>, log: Logger, signal: AbortSignal): Promise<Value> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      signal.throwIfAborted()
      log.warn('the chain does not say which attestations wait', { error })
      await sleep(RETRY_MS, signal)
    }
  }
}

/** The block from which on submissions are looked at: no later than the oldest that waits. The next one if none does. */
async function firstWaiting(chain: ChainClient): Promise<bigint> {
  // The height first: what comes after it is seen as it comes.
  const height = await chain.blockNumber()
  let oldestEpoch: bigint | undefined
  for (let offset = 0; offset < WORKERS_MAX; offset += PAGE_COUNT) {
    const page = await chain.read('TeeWorkers', 'workers', [BigInt(offset), BigInt(PAGE_COUNT)])
    const waiting = await Promise.all(page.map(({ account }) => chain.read('TeeWorkers', 'pendingOf', [account])))
    for (const [quoteHash, , sinceEpoch] of waiting) {
      if (quoteHash === ZERO_BYTES32) continue
      if (oldestEpoch === undefined || sinceEpoch < oldestEpoch) oldestEpoch = sinceEpoch
    }
    if (page.length < PAGE_COUNT) break
  }
  if (oldestEpoch === undefined) return height + 1n
  const { epochsPerEra } = chain.params
  const [genesis, latest] = await Promise.all([timeOf(chain, 0n), timeOf(chain, height)])
  const epochMs = BigInt(chain.params.slotMs * chain.params.slotsPerEpoch)
  // Votes are taken for two eras.
  const firstEpoch = ((latest - genesis) * 1000n) / epochMs - BigInt(2 * epochsPerEra)
  const epoch = oldestEpoch > firstEpoch ? oldestEpoch : firstEpoch
  const fromSeconds = genesis + (epoch * epochMs) / 1000n
  let [low, high] = [0n, height]
  while (low < high) {
    const middle = (low + high) / 2n
    // A node that has joined lately lacks old blocks.
    const block = await chain.block(middle)
    if (!block || block.timestampSeconds < fromSeconds) low = middle + 1n
    else high = middle
  }
  return low
}

async function timeOf(chain: ChainClient, number: bigint): Promise<bigint> {
  const block = await chain.block(number)
  if (!block) throw new Error(`block ${number} is not there`)
  return block.timestampSeconds
}

async function voteUntilDone(
  chain: ChainClient,
  submission: Submission,
  { log, signal, verify }: { log: Logger; signal: AbortSignal; verify: typeof verifyQuote },
): Promise<void> {
  const { account, quoteHash } = submission
  for (;;) {
    try {
      const [pending] = await chain.read('TeeWorkers', 'pendingOf', [account])
      // Decided meanwhile, or replaced by a later one.
      if (pending !== quoteHash) return
      const verdict = await judge(chain, submission, verify)
      const { ok, measurement, expiresAtEpoch } = verdict
      await chain.send('TeeWorkers', 'vote', [account, quoteHash, ok, measurement, expiresAtEpoch], { signal })
      log.info('voted on an attestation', { account, ok, measurement, expiresAtEpoch, reason: verdict.reason })
      return
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof ChainError && error.code === 'REVERTED') {
        // No member, voted before, or decided: another try would end the same way.
        log.debug('a vote on an attestation was not taken', { account, error })
        return
      }
      log.warn('an attestation could not be voted on yet', { account, error })
      await sleep(RETRY_MS, signal).catch(() => undefined)
      if (signal.aborted) return
    }
  }
}

interface Verdict {
  readonly ok: boolean
  readonly measurement: Hex
  readonly expiresAtEpoch: bigint
  readonly reason?: string
}

const NO = { ok: false, measurement: ZERO_BYTES32, expiresAtEpoch: 0n } as const

/** The vote that every honest member comes to. @throws ChainError while the chain does not answer */
export async function judge(chain: ChainClient, submission: Submission, verify = verifyQuote): Promise<Verdict> {
  const { account, quoteHash, blockNumber, transactionHash } = submission
  const [worker, transaction, block, genesis] = await Promise.all([
    chain.read('TeeWorkers', 'workerOf', [account]),
    chain.calldata(transactionHash),
    chain.block(blockNumber),
    chain.block(0n),
  ])
  if (!transaction || !block || !genesis) throw new Error('the block of the submission is not there yet')
  const evidence = evidenceIn(transaction.data)
  // A contract may have called for the account: then nobody can see what it has handed in.
  if (!evidence || bytesToHex(keccak256(evidence.quote)) !== quoteHash) return { ...NO, reason: 'QUOTE_NOT_FOUND' }
  const nonce = await chain.block(evidence.nonceBlock)
  if (!nonce) return { ...NO, reason: 'NONCE_NOT_FOUND' }
  const subject = {
    chainId: chain.params.chainId,
    account,
    peerKey: hexToBytes(worker.peerKey),
    taggerKey: hexToBytes(worker.taggerKey),
    nonceBlock: evidence.nonceBlock,
    nonceHash: hexToBytes(nonce.hash),
  }
  try {
    const { measurement } = verify({
      quote: evidence.quote,
      collateral: evidence.collateral,
      atSeconds: block.timestampSeconds,
      reportData: reportData(subject),
      kind: evidence.kind,
      // The allow-list is the chain's own to look at when the votes are counted.
      isAllowed: () => true,
    })
    const { slotMs, slotsPerEpoch, audit } = chain.params
    const epoch = ((block.timestampSeconds - genesis.timestampSeconds) * 1000n) / BigInt(slotMs * slotsPerEpoch)
    return { ok: true, measurement: bytesToHex(measurement), expiresAtEpoch: epoch + BigInt(audit.attestationEpochs) }
  } catch (error) {
    if (error instanceof TeeError) return { ...NO, reason: error.code }
    throw error
  }
}

interface SubmittedEvidence {
  readonly kind: 'sgx' | 'tdx'
  readonly quote: Uint8Array
  readonly collateral: Uint8Array
  readonly nonceBlock: bigint
}

/** What a `register` or `renew` carries; undefined if the bytes are no such call. */
function evidenceIn(data: Hex): SubmittedEvidence | undefined {
  let call: { functionName: string; args?: readonly unknown[] }
  try {
    call = decodeFunctionData({ abi: moduleAbis.TeeWorkers.abi as Abi, data })
  } catch {
    return undefined
  }
  const { functionName, args = [] } = call
  const fields =
    functionName === 'register'
      ? (args[0] as { attestation: number; quote: Hex; collateral: Hex; nonceBlock: bigint })
      : functionName === 'renew'
        ? {
            attestation: args[0] as number,
            quote: args[1] as Hex,
            collateral: args[2] as Hex,
            nonceBlock: args[3] as bigint,
          }
        : undefined
  if (!fields) return undefined
  const kind = fields.attestation === attestationKind.tdx ? 'tdx' : 'sgx'
  const { quote, collateral, nonceBlock } = fields
  return { kind, quote: hexToBytes(quote), collateral: hexToBytes(collateral), nonceBlock }
}
