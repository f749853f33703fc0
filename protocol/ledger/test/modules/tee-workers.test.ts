import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { minimal, type Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import type { ModuleGenesis } from '../../src/framework/index.ts'
import {
  attestationKind,
  audit,
  GOVERNANCE_ADDRESS,
  storage,
  teeWorkers,
  workerMode,
  workerState,
} from '../../src/modules/index.ts'
import { AuditNetwork, candidate, otherWorker, TestWorker, worker } from './audit-network.ts'
import { account, bytes32, peerKeyOf, stranger, TOKEN } from './test-network.ts'

const measurement = bytes32(77)
const quote = bytesToHex(new Uint8Array(4_700).fill(1))
const collateral = bytesToHex(new Uint8Array(25_000).fill(2))
const quoteHash = bytesToHex(keccak256(hexToBytes(quote)))
const committeeSize = 4
const members = Array.from({ length: committeeSize }, (_, i) => account(700 + i))
const hex = (bytes: number) => bytesToHex(new Uint8Array(bytes).fill(9))

/** A production genesis: four members, one trusted build, nothing simulated. */
const production: ModuleGenesis = {
  attestation: { simulated: false, measurements: [measurement] },
  committee: {
    members: members.map((one) => ({
      account: one,
      peerKey: hex(32),
      blsKey: hex(48),
      blsProof: hex(96),
      address: '/ip4/127.0.0.1/tcp/9',
    })),
    coin: { mode: 'public' },
  },
}
const sgx = { attestation: attestationKind.sgx, quote, collateral, nonceBlock: 0n }

function withWorker({ params = minimal as Params, genesis = production, registration = sgx as object } = {}) {
  const network = new AuditNetwork({ params, genesis, minerCount: 0 })
  const { events } = network.registerWorker(worker, registration)
  return { network, events }
}

function stateOf(network: AuditNetwork, who: Address = worker.account): number {
  return network.call(teeWorkers, 'workerOf', [who]).state
}

interface Ballot {
  hash?: `0x${string}`
  ok?: boolean
  build?: `0x${string}`
  expires?: bigint
}

function vote(
  network: AuditNetwork,
  member: Address,
  { hash = quoteHash, ok = true, build = measurement, expires = 500n }: Ballot = {},
) {
  return network.transact(teeWorkers, 'vote', [worker.account, hash, ok, build, expires], { from: member })
}

function voteAll(network: AuditNetwork, ballot: Ballot = {}): void {
  for (const member of members.slice(0, 3)) vote(network, member, ballot)
}

describe('a TEE worker', () => {
  it('registers with key, proof of knowledge and quote, and is Pending until the quorum has said yes', () => {
    const { network, events } = withWorker()
    const peerKey = bytesToHex(peerKeyOf(worker.account).publicKey)
    assert.deepEqual(events, [
      { name: 'WorkerRegistered', args: { account: worker.account, peerKey, attestation: 1 } },
      { name: 'AttestationSubmitted', args: { account: worker.account, quoteHash } },
    ])
    const found = {
      account: worker.account,
      peerKey,
      addresses: '/ip4/127.0.0.1/tcp/2',
      attestation: attestationKind.none as number,
      measurement: bytes32(0),
      modes: 3,
      candidate,
      taggerKey: worker.taggerKey,
      powersHash: worker.powersHash,
      registeredAtBlock: 1n,
      expiresAtEpoch: 0n,
      state: workerState.pending as number,
      groups: 0,
    }
    assert.deepEqual(network.call(teeWorkers, 'workerOf', [worker.account]), found)
    assert.deepEqual(network.call(teeWorkers, 'workerByPeerKey', [peerKey]), found)
    assert.deepEqual(network.call(teeWorkers, 'workers', [0n, 10n]), [found])
    assert.equal(network.call(teeWorkers, 'workerCount', []), 1n)
    vote(network, members[0]!)
    vote(network, members[1]!)
    assert.equal(stateOf(network), workerState.pending)
    const last = vote(network, members[3]!)
    assert.deepEqual(last.events.at(-1), {
      name: 'WorkerStateChanged',
      args: { account: worker.account, state: workerState.active },
    })
    const active = { ...found, attestation: attestationKind.sgx, measurement, expiresAtEpoch: 500n, state: 2 }
    assert.deepEqual(network.call(teeWorkers, 'workerOf', [worker.account]), active)
    assert.throws(() => vote(network, members[2]!), /NothingToVote/)
  })

  it('cannot register twice, with a foreign key, a false proof of knowledge, or nonsense', () => {
    const genesis = { attestation: { simulated: true, measurements: [] } }
    const network = new AuditNetwork({ genesis, minerCount: 0 })
    const attempt = (changes: object) => () => network.registerWorker(worker, changes)
    assert.throws(attempt({ taggerKey: otherWorker.taggerKey }), /BadTaggerKey\(MALFORMED_KEY: the proof of knowledge/)
    assert.throws(attempt({ taggerKey: '0x1234' }), /BadTaggerKey\(a tagger key has 288 bytes/)
    assert.throws(attempt({ taggerKey: hex(288) }), /BadTaggerKey/)
    const flipped = hexToBytes(worker.taggerKey).slice()
    flipped[287]! ^= 1
    assert.throws(attempt({ taggerKey: bytesToHex(flipped) }), /BadTaggerKey/)
    assert.throws(attempt({ peerKey: bytesToHex(peerKeyOf(stranger).publicKey) }), /did not sign/)
    assert.throws(attempt({ peerSignature: '0x' }), /did not sign/)
    assert.throws(attempt({ modes: 0 }), /modes are/)
    assert.throws(attempt({ modes: 4 }), /modes are/)
    assert.throws(attempt({ powersHash: bytes32(0) }), /hash of the powers is zero/)
    assert.throws(attempt({ addresses: 'x'.repeat(1_025) }), /addresses is longer/)
    assert.throws(attempt({ attestation: 0 }), /BadAttestation\(0\)/)
    assert.throws(attempt({ attestation: 4 }), /BadAttestation\(4\)/)
    assert.throws(attempt({ quote: '0x01' }), /a simulated attestation has no quote/)
    attempt({})()
    assert.throws(attempt({}), /already registered/)
    const samePeerKey = {
      peerKey: bytesToHex(peerKeyOf(worker.account).publicKey),
      peerSignature: network.peerSignature(otherWorker.account, peerKeyOf(worker.account)),
    }
    assert.throws(() => network.registerWorker(otherWorker, samePeerKey), /belongs to another worker/)
  })

  it('sends a quote of a fresh block and of a sensible length', () => {
    const network = new AuditNetwork({ genesis: production, minerCount: 0 })
    network.block = { ...network.block, number: 10_000n }
    const attempt = (changes: object) => () =>
      network.registerWorker(worker, { ...sgx, nonceBlock: 9_999n, ...changes })
    assert.throws(attempt({ quote: '0x' }), /a quote has 1 to 16384 bytes/)
    assert.throws(attempt({ quote: hex(16_385) }), /a quote has 1 to 16384 bytes/)
    assert.throws(attempt({ collateral: hex(98_305) }), /collateral is over 98304 bytes/)
    assert.throws(attempt({ nonceBlock: 10_000n }), /StaleNonce\(10000,10000\)/)
    assert.throws(attempt({ nonceBlock: 6_399n }), /StaleNonce\(6399,10000\)/)
    attempt({ nonceBlock: 6_400n })()
  })

  it('is simulated only where genesis says so', () => {
    const simulated = { attestation: attestationKind.simulated, quote: '0x', collateral: '0x' }
    for (const genesis of [production, {}]) {
      const network = new AuditNetwork({ genesis, minerCount: 0 })
      assert.equal(network.call(teeWorkers, 'allowsSimulated', []), false)
      assert.throws(() => network.registerWorker(worker, simulated), /SimulatedRefused/)
    }
    const { network } = withWorker({
      genesis: { attestation: { simulated: true, measurements: [] } },
      registration: simulated,
    })
    assert.equal(network.call(teeWorkers, 'allowsSimulated', []), true)
    const { state, attestation, expiresAtEpoch } = network.call(teeWorkers, 'workerOf', [worker.account])
    assert.deepEqual(
      { state, attestation, expiresAtEpoch },
      { state: workerState.active, attestation: 3, expiresAtEpoch: BigInt(minimal.audit.attestationEpochs) },
    )
  })

  it('pays a deposit and gets it back', () => {
    const params = { ...minimal, audit: { ...minimal.audit, workerDeposit: TOKEN } }
    const network = new AuditNetwork({ params, minerCount: 0 })
    assert.throws(() => network.registerWorker(), /DepositTooLow\(1000000000000000000,0\)/)
    network.fund(worker.account, 3n * TOKEN)
    network.registerWorker(worker, {}, 2n * TOKEN)
    assert.equal(network.world.getBalance(worker.account), TOKEN)
    network.call(teeWorkers, 'exit', [], { from: worker.account })
    assert.equal(network.world.getBalance(worker.account), 3n * TOKEN)
    assert.equal(stateOf(network), workerState.none)
    assert.equal(network.call(teeWorkers, 'workerCount', []), 0n)
  })

  it('changes its addresses', () => {
    const { network } = withWorker()
    network.call(teeWorkers, 'update', ['/dns4/worker/tcp/1'], { from: worker.account })
    assert.equal(network.call(teeWorkers, 'workerOf', [worker.account]).addresses, '/dns4/worker/tcp/1')
    assert.throws(() => network.call(teeWorkers, 'update', [''], { from: stranger }), /not a TEE worker/)
  })
})

describe('the vote on a quote', () => {
  it('is the committee’s, one each, for the same verdict', () => {
    const { network } = withWorker()
    assert.throws(() => vote(network, stranger), /not a member of the committee/)
    assert.throws(() => vote(network, members[0]!, { hash: bytes32(1) }), /NothingToVote/)
    assert.throws(() => vote(network, members[0]!, { hash: bytes32(0) }), /NothingToVote/)
    vote(network, members[0]!, { expires: 500n })
    assert.throws(() => vote(network, members[0]!, { expires: 500n }), /has voted/)
    vote(network, members[1]!, { expires: 501n })
    vote(network, members[2]!, { expires: 500n, build: bytes32(78) })
    vote(network, members[3]!, { expires: 500n })
    // 2 of 4 agree: 3 are needed.
    assert.equal(stateOf(network), workerState.pending)
  })

  it('rejects a bad quote, an unknown build, and one that is over', () => {
    for (const ballot of [{ ok: false }, { build: bytes32(78) }, { expires: 0n }]) {
      const { network } = withWorker()
      voteAll(network, ballot)
      assert.equal(stateOf(network), workerState.rejected)
      assert.equal(network.call(teeWorkers, 'workerOf', [worker.account]).measurement, bytes32(0))
    }
  })

  it('gives no attestation more time than the rules do', () => {
    const { network } = withWorker()
    voteAll(network, { expires: 2n ** 64n - 1n })
    const { expiresAtEpoch } = network.call(teeWorkers, 'workerOf', [worker.account])
    assert.equal(expiresAtEpoch, BigInt(minimal.audit.attestationEpochs))
  })

  it('is over after two eras; another quote may follow', () => {
    const { network } = withWorker()
    network.advance({ epochs: 2 * minimal.epochsPerEra })
    assert.throws(() => vote(network, members[0]!), /NothingToVote/)
    const again = [attestationKind.sgx, quote, collateral, 0n] as const
    assert.throws(() => network.call(teeWorkers, 'renew', again, { from: worker.account }), /waits for votes already/)
    const fresh = bytesToHex(hexToBytes(quote).fill(3, 0, 4))
    network.call(teeWorkers, 'renew', [attestationKind.tdx, fresh, collateral, 0n], { from: worker.account })
    voteAll(network, { hash: bytesToHex(keccak256(hexToBytes(fresh))) })
    assert.equal(network.call(teeWorkers, 'workerOf', [worker.account]).attestation, attestationKind.tdx)
  })

  it('is asked for once an epoch by a worker: leaving and coming back is no way around it', () => {
    const { network } = withWorker()
    const fresh = (n: number) => bytesToHex(hexToBytes(quote).fill(n, 0, 4))
    const renew = (n: number) => () =>
      network.call(teeWorkers, 'renew', [attestationKind.sgx, fresh(n), collateral, 0n], { from: worker.account })
    const exit = () => network.call(teeWorkers, 'exit', [], { from: worker.account })
    assert.throws(renew(3), /one quote an epoch/)
    voteAll(network, { ok: false })
    assert.throws(renew(3), /one quote an epoch/)
    assert.throws(exit, /one quote an epoch/)
    network.advance({ epochs: 1 })
    renew(3)()
    assert.throws(renew(4), /one quote an epoch/)
    assert.throws(exit, /one quote an epoch/)
    network.advance({ epochs: 1 })
    exit()
    assert.equal(stateOf(network), workerState.none)
  })

  it('on a bad renewal takes nothing from an attestation that still holds', () => {
    const { network } = withWorker()
    voteAll(network)
    network.advance({ epochs: 1 })
    const fresh = bytesToHex(hexToBytes(quote).fill(3, 0, 4))
    network.call(teeWorkers, 'renew', [attestationKind.sgx, fresh, collateral, 0n], { from: worker.account })
    assert.equal(stateOf(network), workerState.active)
    voteAll(network, { hash: bytesToHex(keccak256(hexToBytes(fresh))), ok: false })
    assert.equal(stateOf(network), workerState.active)
    network.advance({ epochs: 500 })
    assert.equal(stateOf(network), workerState.expired)
  })
})

describe('the list of builds', () => {
  it('is changed by governance alone', () => {
    const { network } = withWorker()
    const build = bytes32(78)
    assert.equal(network.call(teeWorkers, 'isAllowed', [measurement]), true)
    assert.equal(network.call(teeWorkers, 'isAllowed', [build]), false)
    for (const name of ['allow', 'disallow'] as const) {
      assert.throws(() => network.call(teeWorkers, name, [build], { from: members[0]! }), /only governance/)
    }
    network.call(teeWorkers, 'allow', [build], { from: GOVERNANCE_ADDRESS })
    voteAll(network, { build })
    assert.equal(stateOf(network), workerState.active)
  })

  it('drops the workers of a build that is no longer trusted', () => {
    const { network } = withWorker()
    voteAll(network)
    network.call(teeWorkers, 'disallow', [measurement], { from: GOVERNANCE_ADDRESS })
    const events = network.tick()
    assert.deepEqual(events, [
      { name: 'WorkerStateChanged', args: { account: worker.account, state: workerState.rejected } },
    ])
  })
})

describe('the worker of a group', () => {
  const stored = () => {
    const network = new AuditNetwork()
    network.registerWorker(worker)
    const group = network.store(4)
    assert.equal(network.taggerOf(group.group), worker.account)
    network.confirmAll(group)
    return { network, ...group }
  }
  const tagged = (network: AuditNetwork, group: number) =>
    network.members(group).map((one) => network.minerOf(one).taggedUnits)

  it('is an active marker', () => {
    const network = new AuditNetwork()
    network.registerWorker(worker, { modes: workerMode.verifier })
    assert.equal(BigInt(network.taggerOf(network.store(1).group)), 0n)
    network.tick()
    assert.equal(BigInt(network.taggerOf(1)), 0n)
    network.registerWorker(otherWorker, { modes: workerMode.marker })
    network.tick()
    assert.equal(network.taggerOf(1), otherWorker.account)
  })

  it('keeps it for an era after it said that it leaves, and then another one starts anew', () => {
    const { network, group, stripes } = stored()
    network.registerWorker(otherWorker)
    network.call(teeWorkers, 'exit', [], { from: worker.account })
    assert.equal(stateOf(network), workerState.exiting)
    assert.throws(() => network.call(teeWorkers, 'exit', [], { from: worker.account }), /GroupsLeft\(1,6\)/)
    network.call(audit, 'reportLoss', [group, 0, 15n], { from: network.members(group)[0]! })
    network.toEpoch(6)
    assert.equal(network.taggerOf(group), worker.account)
    const events = network.tick().filter(({ name }) => name === 'TaggerAssigned')
    assert.deepEqual(
      events.map(({ args }) => args['tagger']),
      [account(0), otherWorker.account],
    )
    assert.deepEqual(tagged(network, group), Array(12).fill(0))
    const miner = network.members(group)[0]!
    assert.deepEqual(network.confirm(miner, group, stripes).events.length, 1)
    assert.throws(() => network.confirm(miner, group, stripes, worker.account), /is not the tagger/)
    assert.equal(network.call(teeWorkers, 'workerOf', [otherWorker.account]).groups, 1)
    network.call(teeWorkers, 'exit', [], { from: worker.account })
    assert.equal(stateOf(network), workerState.none)
  })

  it('has an era to renew what is expired', () => {
    const params = { ...minimal, audit: { ...minimal.audit, attestationEpochs: 2 } }
    const network = new AuditNetwork({ params })
    network.registerWorker(worker)
    const { group } = network.store(1)
    network.toEpoch(2)
    assert.equal(stateOf(network), workerState.expired)
    network.toEpoch(7)
    network.call(teeWorkers, 'renew', [attestationKind.simulated, '0x', '0x', 0n], { from: worker.account })
    assert.equal(stateOf(network), workerState.active)
    network.toEpoch(14)
    assert.equal(network.taggerOf(group), worker.account)
    network.toEpoch(16)
    assert.equal(BigInt(network.taggerOf(group)), 0n)
    assert.equal(network.call(storage, 'untaggedGroupCount', []), 1n)
    // It may come back: it is drawn anew.
    network.call(teeWorkers, 'renew', [attestationKind.simulated, '0x', '0x', 0n], { from: worker.account })
    network.tick()
    assert.equal(network.taggerOf(group), worker.account)
  })

  it('may have left and come back under another key: groups are its own again, challenges of before are void', () => {
    const { network, group } = stored()
    network.tick(2)
    network.tick()
    const asked = network
      .members(group)
      .filter((one) => network.announced.has(one) && network.challengeOf(one).state === 1)
    assert.ok(asked.length > 0)
    const [one] = asked as [Address]
    network.answer(one)
    // Left and registered again within the block in which the proof waits: its groups first.
    const { epoch } = network.block
    network.call(teeWorkers, 'exit', [], { from: worker.account })
    network.block = { ...network.block, epoch: epoch + minimal.epochsPerEra }
    sweepAndHandOver(network)
    network.call(teeWorkers, 'exit', [], { from: worker.account })
    network.registerWorker(new TestWorker(500, 'another secret'))
    network.block = { ...network.block, epoch }
    network.tick()
    assert.equal(network.record(one).failed, 0)
    assert.equal(network.record(one).passed, 0)
  })

  it('a few groups at a time', () => {
    const network = new AuditNetwork({ params: { ...minimal, stripesPerGroup: 1 } })
    network.registerWorker(worker)
    const land = network.mint()
    for (let i = 0; i < 7; i++) network.reserve(land, 1)
    assert.equal(network.call(teeWorkers, 'workerOf', [worker.account]).groups, 7)
    network.registerWorker(otherWorker)
    network.call(teeWorkers, 'exit', [], { from: worker.account })
    network.toEpoch(6)
    const taken: number[] = []
    for (let i = 0; i < 5; i++) taken.push(network.tick().filter(({ name }) => name === 'TaggerAssigned').length)
    assert.deepEqual(taken, [4, 4, 4, 2, 0])
    assert.equal(network.call(teeWorkers, 'workerOf', [otherWorker.account]).groups, 7)
  })

  it('is one of all, each about as often', () => {
    const network = new AuditNetwork({ units: 10_000, params: { ...minimal, stripesPerGroup: 1 } })
    network.registerWorker(worker)
    network.registerWorker(otherWorker)
    const land = network.mint({ stripes: 400 })
    for (let i = 0; i < 60; i++) {
      network.reserve(land, 1)
      network.tick()
    }
    const { groups } = network.call(teeWorkers, 'workerOf', [worker.account])
    assert.ok(groups > 15 && groups < 45, `${groups} of 60`)
  })
})

/** The hooks of workers and groups without those of audits. */
function sweepAndHandOver(network: AuditNetwork): void {
  network.endHooks([teeWorkers, storage])
}
