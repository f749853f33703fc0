import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { bytesToHex, hexToBytes, utf8Encode } from '@cumulus/bytes'
import { type ChainClient, ChainError } from '@cumulus/chain'
import { keccak256 } from '@cumulus/hash'
import { attestationKind, moduleAbis, teeWorkers, workerState } from '@cumulus/ledger/modules'
import { mainnet, minimal } from '@cumulus/params'
import { createLogger } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import { encodeFunctionData } from 'viem/utils'
import { AuditNetwork, worker } from '../../../protocol/ledger/test/modules/audit-network.ts'
import { bytes32, peerKeyOf, account as testAccount } from '../../../protocol/ledger/test/modules/test-network.ts'
import { judge, type QuoteCheck, reportData, runAttestationVoter, TeeError, type verifyQuote } from '../src/index.ts'

const vector = (name: string) => readFile(new URL(`./vectors/${name}`, import.meta.url), 'utf8')
const quote = `0x${(await vector('tdx-quote.hex')).trim()}` as const
const collateral = bytesToHex(utf8Encode(await vector('tdx-collateral.json')))
const account = `0x${'11'.repeat(20)}` as const
const hash = `0x${'22'.repeat(32)}` as const
const SEPTEMBER = BigInt(Date.parse('2025-09-10T00:00:00Z') / 1000)

/** A chain that shows one submission. */
function chainWith(data: `0x${string}`): ChainClient {
  const worker = { peerKey: `0x${'33'.repeat(32)}`, taggerKey: `0x${'44'.repeat(288)}` }
  return {
    params: mainnet,
    read: async () => worker,
    calldata: async () => ({ from: account, to: moduleAbis.TeeWorkers.address, data }),
    block: async (number: bigint) => ({ hash, timestampSeconds: number === 0n ? SEPTEMBER - 86_400n : SEPTEMBER }),
  } as unknown as ChainClient
}

const renewal = (attestation: number, quoteHex: `0x${string}`, collateralHex: `0x${string}`) =>
  encodeFunctionData({
    abi: moduleAbis.TeeWorkers.abi,
    functionName: 'renew',
    args: [attestation, quoteHex, collateralHex, 5n],
  })

const submission = (quoteHex: `0x${string}`) => ({
  account,
  quoteHash: bytesToHex(keccak256(hexToBytes(quoteHex))),
  blockNumber: 9n,
  transactionHash: hash,
})

describe('the vote on an attestation', () => {
  it('is no, with the reason, for quotes that prove nothing of this worker', async () => {
    const cases = [
      [renewal(2, quote, collateral), 'OTHER_REPORT_DATA'],
      [renewal(1, quote, collateral), 'OTHER_KIND'],
      [renewal(2, quote, '0x1234'), 'MALFORMED_COLLATERAL'],
    ] as const
    for (const [data, reason] of cases) {
      const verdict = await judge(chainWith(data), submission(quote))
      assert.deepEqual({ ok: verdict.ok, reason: verdict.reason }, { ok: false, reason })
      // All who say no say the same, so that their votes are counted together.
      assert.equal(BigInt(verdict.measurement), 0n)
      assert.equal(verdict.expiresAtEpoch, 0n)
    }
    const garbage = `0x${'00'.repeat(500)}` as const
    assert.equal((await judge(chainWith(renewal(2, garbage, '0x')), submission(garbage))).reason, 'MALFORMED_QUOTE')
  })

  it('is no where the quote of the event is not in the transaction', async () => {
    for (const data of ['0x', '0x12345678', renewal(2, '0x1234', collateral)] as const) {
      assert.equal((await judge(chainWith(data), submission(quote))).reason, 'QUOTE_NOT_FOUND')
    }
  })
})

/** The time of the block that holds the quote, as the chain tells it. */
const members = Array.from({ length: 4 }, (_, i) => testAccount(700 + i))
const measurement = bytes32(77)

/** What a member sees of a chain of real modules. */
class MemberChain {
  readonly params = minimal
  readonly #network: AuditNetwork
  readonly #member: Address
  readonly #submitted: Submitted
  sent = 0

  constructor(network: AuditNetwork, member: Address, submitted: Submitted) {
    this.#network = network
    this.#member = member
    this.#submitted = submitted
  }

  blockNumber = async () => this.#network.block.number
  block = async (number: bigint) => ({ hash: blockHash(number), timestampSeconds: this.#timeOf(number) })
  calldata = async () => ({ data: this.#submitted.data })

  /** A block every slot. */
  #timeOf(number: bigint): bigint {
    const { genesisTime, block } = this.#network
    return number === 0n ? genesisTime : block.timestamp - (block.number - number) * BigInt(minimal.slotMs / 1000)
  }

  async read(_: string, view: 'workers' | 'workerOf' | 'pendingOf', args: never) {
    return this.#network.call(teeWorkers, view, args)
  }

  async send(_: string, call: 'vote', args: never) {
    try {
      this.#network.transact(teeWorkers, call, args, { from: this.#member })
    } catch (error) {
      throw new ChainError('REVERTED', (error as Error).message)
    }
    this.sent++
  }

  async *events(_: string, __: string, { fromBlock, signal }: { fromBlock: bigint; signal: AbortSignal }) {
    const { block: blockNumber, account, quoteHash } = this.#submitted
    if (blockNumber >= fromBlock) yield { args: { account, quoteHash }, blockNumber, transactionHash: hash }
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  }
}

interface Submitted {
  readonly account: Address
  readonly quoteHash: `0x${string}`
  readonly block: bigint
  readonly data: `0x${string}`
}

function blockHash(number: bigint) {
  return bytes32(1_000n + number)
}

/** A committee of four, and a worker whose quote waits, handed in five blocks ago. */
function withWaitingQuote() {
  const committee = {
    members: members.map((one) => {
      const hex = (bytes: number) => bytesToHex(new Uint8Array(bytes).fill(9))
      return { account: one, peerKey: hex(32), blsKey: hex(48), blsProof: hex(96), address: '/ip4/127.0.0.1/tcp/9' }
    }),
    coin: { mode: 'public' as const },
  }
  const attestation = { simulated: false, measurements: [measurement] }
  const network = new AuditNetwork({ genesis: { attestation, committee }, minerCount: 0 })
  network.tick()
  const collateralHex = bytesToHex(new Uint8Array(3))
  const registration = {
    peerKey: bytesToHex(peerKeyOf(worker.account).publicKey),
    addresses: '/ip4/127.0.0.1/tcp/2',
    modes: 3,
    candidate: testAccount(600),
    taggerKey: worker.taggerKey,
    powersHash: worker.powersHash,
    attestation: attestationKind.tdx as number,
    quote,
    collateral: collateralHex,
    nonceBlock: 1n,
    peerSignature: network.peerSignature(worker.account),
  }
  network.registerWorker(worker, registration)
  const data = encodeFunctionData({ abi: moduleAbis.TeeWorkers.abi, functionName: 'register', args: [registration] })
  const quoteHash = bytesToHex(keccak256(hexToBytes(quote)))
  const submitted = { account: worker.account, quoteHash, block: network.block.number, data }
  const taken = network.block.timestamp
  for (let i = 0; i < 5; i++) network.tick()
  const stateOf = () => network.call(teeWorkers, 'workerOf', [worker.account])
  return { network, submitted, registration, taken, stateOf }
}

/** Runs the voters of some members until they have nothing to do. */
async function vote(network: AuditNetwork, who: readonly Address[], submitted: Submitted, verify: typeof verifyQuote) {
  const chains = who.map((member) => new MemberChain(network, member, submitted))
  const stop = new AbortController()
  const log = createLogger({ name: 'voter', write: () => undefined })
  const running = chains.map((chain) =>
    runAttestationVoter({ chain: chain as unknown as ChainClient, log, signal: stop.signal, verify }),
  )
  // They look, judge and vote in turns of the event loop; nothing waits for a clock.
  for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve))
  stop.abort(new Error('done'))
  await Promise.all(running)
  return chains.map(({ sent }) => sent)
}

describe('members of the committee', () => {
  it('let in a worker whose quote holds, though it was handed in while they were away', async () => {
    const { network, submitted, registration, taken, stateOf } = withWaitingQuote()
    const asked: QuoteCheck[] = []
    const verify = (check: QuoteCheck) => {
      asked.push(check)
      return { measurement: hexToBytes(measurement), kind: 'tdx', isDebug: false, tcbStatus: 'UpToDate' } as never
    }
    assert.equal(stateOf().state, workerState.pending)
    assert.deepEqual(await vote(network, members.slice(0, 2), submitted, verify), [1, 1])
    assert.equal(stateOf().state, workerState.pending)
    assert.deepEqual(await vote(network, members.slice(2, 3), submitted, verify), [1])
    const { state, attestation, measurement: build, expiresAtEpoch } = stateOf()
    const until = BigInt(minimal.audit.attestationEpochs)
    assert.deepEqual(
      { state, attestation, build, expiresAtEpoch },
      { state: workerState.active, attestation: attestationKind.tdx, build: measurement, expiresAtEpoch: until },
    )
    // What they have judged is this very registration, at the time of its block.
    const expected = reportData({
      chainId: minimal.chainId,
      account: worker.account,
      peerKey: hexToBytes(registration.peerKey),
      taggerKey: hexToBytes(registration.taggerKey),
      nonceBlock: 1n,
      nonceHash: hexToBytes(blockHash(1n)),
    })
    for (const { reportData: data, atSeconds, kind } of asked) {
      assert.deepEqual(data, expected)
      assert.deepEqual([atSeconds, kind], [taken, 'tdx'])
    }
    // Decided: the last one has nothing to vote on, and those who start again neither.
    assert.deepEqual(await vote(network, members, submitted, verify), [0, 0, 0, 0])
  })

  it('keep out one whose quote does not', async () => {
    const { network, submitted, stateOf } = withWaitingQuote()
    const verify = () => {
      throw new TeeError('BAD_SIGNATURE', 'not Intel’s')
    }
    await vote(network, members.slice(1), submitted, verify)
    assert.equal(stateOf().state, workerState.rejected)
  })

  it('look on where they are none', async () => {
    const { network, submitted, stateOf } = withWaitingQuote()
    const verify = () => ({ measurement: hexToBytes(measurement) }) as never
    assert.deepEqual(await vote(network, [testAccount(800), testAccount(801)], submitted, verify), [0, 0])
    assert.equal(stateOf().state, workerState.pending)
  })
})
