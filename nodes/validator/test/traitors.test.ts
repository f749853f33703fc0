import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { equalBytes, hexToBytes } from '@cumulus/bytes'
import { coinMessage, voteMessage } from '@cumulus/certificate'
import { LmdbLedgerStore, paramsOf, writeGenesis } from '@cumulus/execution'
import { dial, FRAME_BODY_BYTES_MAX, FrameOp, PeerIdentity } from '@cumulus/network'
import { type Block, type BlockRef, encodeMessage, genesisDigest, readLog, sealBlock } from '@cumulus/r2s'
import { BlsKey, verifyBls } from '@cumulus/threshold'
import { testAccount } from '../../execution/test/transactions.ts'
import { decodeLogFile } from '../src/consensus/log-file.ts'
import { assertSameChain, headOf, transfer } from './chain-tools.ts'
import { committeeGenesis, eventually, TestCommittee, TestMember, testSeats } from './test-committee.ts'

const pace = { minRoundMs: 5, idleRoundMs: 10 }

describe('a committee of four with a member', () => {
  it('that runs twice under one key is caught, or falls silent before it does harm, and there is no fork', async () => {
    // So slow that round 1, where the second begins, is still remembered when it comes.
    const slow = { minRoundMs: 20, idleRoundMs: 400 }
    const committee = await TestCommittee.start(4, { pace: slow })
    const [first, ...rest] = committee.members
    const twin = new TestMember(join(committee.dir, 'twin'), first!.seat, first!.genesis, {
      pace: slow,
      peer: { host: '127.0.0.1', port: 0 },
    })
    try {
      await twin.writeKeys(true) // which is not true
      await twin.start()
      // Whether the two sign the same round, or one hears of the other before, is a matter of milliseconds.
      const evidenceAt = async (member: TestMember) => (await member.status()).orderer.evidence
      await eventually('evidence at all others, or silence', async () => {
        const both = await Promise.all([first!.status(), twin.status()])
        if (both.some(({ orderer }) => orderer.silencedAtRound !== undefined)) return true
        return (await Promise.all(rest.map(evidenceAt))).every((evidence) => evidence.length > 0)
      })
      for (const member of rest) {
        for (const { kind, member: who } of await evidenceAt(member)) {
          assert.deepEqual([kind, who], ['equivocation', 0])
        }
      }
      await transfer(rest[0]!, 1, 5)
      await assertSameChain(rest, await headOf(rest[0]!))
      // Kept over a restart.
      const known = (await evidenceAt(rest[1]!)).length
      assert.ok(known <= 1)
      await rest[1]!.stop()
      await rest[1]!.start()
      assert.ok((await evidenceAt(rest[1]!)).length >= known)
    } finally {
      await twin.stop()
      await committee.remove()
    }
  })

  it('that votes for two blocks of one height is known to all, restarted or not, and they go on', async () => {
    // So slow that round 1 is still remembered when its block comes.
    const slow = { pace: { minRoundMs: 20, idleRoundMs: 400 } }
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-double-vote-'))
    const seats = await testSeats(4)
    const genesis = committeeGenesis(seats)
    const honest = seats.seats
      .slice(0, 3)
      .map((seat, index) => new TestMember(join(dir, `${index}`), seat, genesis, slow))
    const traitor = seats.seats[3]!
    const evidenceOf = async (member: TestMember) => (await member.status()).orderer.evidence
    try {
      await Promise.all(honest.map((member) => member.writeKeys(true)))
      await Promise.all(honest.map((member) => member.start()))
      const { genesisHash } = (await honest[0]!.role.status()) as { genesisHash: string }
      const key = new PeerIdentity(traitor.seed)
      const bls = BlsKey.fromSeed(traitor.blsSeed)
      // A height that none of them has come to: what it votes for is not looked at, that it votes twice is.
      const height = 100n
      const messageOf = (headerHash: Uint8Array) => voteMessage({ chainId: 27_103, era: 0, height, headerHash })
      const votes = [1, 2].map((byte) => {
        const headerHash = new Uint8Array(32).fill(byte)
        return { height, headerHash, signature: bls.sign(messageOf(headerHash)) }
      })
      const parents = [3, 0, 1, 2].map((author) => ({
        author,
        round: 0,
        digest: genesisDigest(hexToBytes(genesisHash), author),
      }))
      const header = { chainId: 27_103n, era: 0, round: 1, author: 3, tsMs: 1, exposed: 0, parents, votes }
      const block = sealBlock(
        { ...header, evidence: null, coinShare: null, txCount: 0 },
        new Uint8Array(0),
        (message) => key.sign(message),
      )
      for (const { seat } of honest) {
        const address = { host: '127.0.0.1', port: seat.port }
        const link = await dial({ address, identity: key, handlers: { [FrameOp.dag]: () => ({}) } })
        await link.request(FrameOp.dag, { body: encodeMessage({ kind: 'block', block }) })
        link.close()
      }
      const isKnown = async (member: TestMember) => (await evidenceOf(member)).length > 0
      await eventually('evidence at all others', async () => (await Promise.all(honest.map(isKnown))).every(Boolean))

      await transfer(honest[0]!, 1, 3)
      await honest[1]!.stop()
      const kept = await readFile(join(honest[1]!.dir, 'order', 'evidence.jsonl'), 'utf8')
      assert.equal(kept.trim().split('\n').length, 1)
      await honest[1]!.start()
      await transfer(honest[1]!, 2, 3)
      await assertSameChain(honest, await headOf(honest[0]!))

      const records = await Promise.all(honest.map(evidenceOf))
      assert.deepEqual(JSON.parse(kept), records[1]![0])
      for (const [record, ...more] of records) {
        assert.deepEqual([record!.kind, record!.member, record!.place, more.length], ['double-vote', 3, '100', 0])
        // Whoever has the genesis can check it.
        const { firstHash, firstSignature, secondHash, secondSignature } = record!.proof
        assert.notEqual(firstHash, secondHash)
        for (const [hash, signature] of [
          [firstHash!, firstSignature!],
          [secondHash!, secondSignature!],
        ] as const) {
          assert.ok(verifyBls(hexToBytes(signature), messageOf(hexToBytes(hash)), bls.publicKey))
        }
      }
    } finally {
      await Promise.all(honest.map((member) => member.stop()))
      await rm(dir, { recursive: true })
    }
  })

  it('that met a block which somebody else signed for it signs no more, restarted or not, until its log is given up', async () => {
    const committee = await TestCommittee.start(4, { pace })
    const [silent, one, two, away] = committee.members as [TestMember, TestMember, TestMember, TestMember]
    const { seed, port } = silent.seat
    const orderOf = async (member: TestMember) => (await member.status()).orderer
    const isSilent = async () => (await orderOf(silent)).silencedAtRound !== undefined
    try {
      await away.stop()
      // Round and parents need not make sense: the signature does.
      const parents = [0, 1, 2].map((author) => ({ author, round: 999, digest: new Uint8Array(32) }))
      const header = { chainId: 27_103n, era: 0, round: 1_000, author: 0, tsMs: 1, exposed: 0, parents, votes: [] }
      const coinShare = BlsKey.fromSecret(silent.seat.coinShare!).sign(Uint8Array.of(1))
      const key = new PeerIdentity(seed)
      const block = sealBlock({ ...header, evidence: null, coinShare, txCount: 0 }, new Uint8Array(0), (message) =>
        key.sign(message),
      )
      const link = await dial({
        address: { host: '127.0.0.1', port },
        identity: new PeerIdentity(away.seat.seed),
        handlers: {},
      })
      await link.request(FrameOp.dag, { body: encodeMessage({ kind: 'block', block }) })
      await eventually('silence', isSilent)
      link.close()

      // Three of four need it: without its blocks the others stand still, whoever restarts it.
      for (let start = 0; start < 2; start++) {
        await silent.stop()
        await silent.start()
        assert.equal((await orderOf(silent)).silencedAtRound, 1_000)
      }
      await away.start()
      await transfer(one, 1, 3)
      const { round } = (await orderOf(one)).members[0]!
      await transfer(two, 2, 3)
      assert.equal((await orderOf(one)).members[0]!.round, round)

      // What status says: nobody else has the keys now, and the log is removed.
      await silent.stop()
      await rm(join(silent.dir, 'order', 'wal.log'))
      await silent.start()
      await eventually('own blocks', async () => (await orderOf(one)).members[0]!.round > round + 5)
      assert.equal(await isSilent(), false)
      for (const member of [one, two, away]) assert.deepEqual((await orderOf(member)).evidence, [])
      await assertSameChain(committee.members, await headOf(one))
    } finally {
      await committee.remove()
    }
  })

  it('that hears of two certified twins halts, and keeps the rounds that show it', async () => {
    const committee = await TestCommittee.start(4, { pace })
    const [halting, ...others] = committee.members
    try {
      // From here on all others are traitors.
      await Promise.all(committee.members.map((member) => member.stop()))
      for (const member of committee.members) await rm(member.dir, { recursive: true })
      await halting!.writeKeys(true)
      await halting!.start()
      const { genesisHash } = (await halting!.role.status()) as { genesisHash: string }
      const seats = committee.members.map(({ seat }) => seat)
      const keys = seats.map(({ seed }) => new PeerIdentity(seed))
      const sealed = (author: number, round: number, parents: readonly BlockRef[], tsMs = 1) => {
        const shareOf = () => coinMessage({ chainId: 27_103, era: 0, round: round - 3 })
        const coinShare = round > 3 ? BlsKey.fromSecret(seats[author]!.coinShare!).sign(shareOf()) : null
        const own = parents.filter((ref) => ref.author === author)
        const sorted = [...own, ...parents.filter((ref) => ref.author !== author)]
        const header = { chainId: 27_103n, era: 0, round, author, tsMs, exposed: 0, parents: sorted, coinShare }
        return sealBlock({ ...header, votes: [], evidence: null, txCount: 0 }, new Uint8Array(0), (bytes) =>
          keys[author]!.sign(bytes),
        )
      }
      const refOf = ({ header: { author, round }, digest }: Block): BlockRef => ({ author, round, digest })
      const genesis = [0, 1, 2, 3].map((author) => ({
        author,
        round: 0,
        digest: genesisDigest(hexToBytes(genesisHash), author),
      }))
      const common = [2, 3].map((author) => sealed(author, 1, genesis))
      /** Member 1's block of round 1, and three rounds upon it that see no other; the last first. */
      const branch = (tsMs: number, last: number) => {
        const rounds = [[sealed(1, 1, genesis, tsMs), ...common]]
        for (const round of [2, 3]) {
          const before = rounds.at(-1)!.map(refOf)
          rounds.push([1, 2, 3].map((author) => sealed(author, round, before, tsMs)))
        }
        rounds.push([sealed(last, 4, rounds.at(-1)!.map(refOf), tsMs)])
        return rounds.reverse()
      }
      const [one, two] = [branch(1, 1), branch(2, 2)]
      const link = await dial({
        address: { host: '127.0.0.1', port: halting!.seat.port },
        identity: keys[1]!,
        handlers: {},
      })
      // From the top down: then all of it is waited for.
      for (const [depth, blocks] of one.entries()) {
        for (const block of [...blocks, ...two[depth]!]) {
          await link.request(FrameOp.dag, { body: encodeMessage({ kind: 'block', block }) }).catch(() => {})
        }
      }
      await assert.rejects(halting!.role.stopped, { code: 'FAULT_BOUND_BROKEN' })
      link.close()
      const order = join(halting!.dir, 'order')
      const dump = (await readdir(order)).find((name) => name.startsWith('halt-'))
      const reason = JSON.parse(await readFile(join(order, dump!, 'reason.json'), 'utf8'))
      assert.deepEqual(reason.details, { code: 'TWO_CERTIFIED_TWINS', round: 1, author: 1 })
      const bytes = new Uint8Array(await readFile(join(order, dump!, 'window.log')))
      const { blocks, damage } = readLog(bytes)
      assert.equal(damage, 'none')
      for (const twin of [one[3]![0]!, two[3]![0]!])
        assert.ok(blocks.some(({ digest }) => equalBytes(digest, twin.digest)))
    } finally {
      for (const other of others) await other.stop()
      await committee.remove()
    }
  })

  it('whose state has rotted stops that one, with a file that says why', async () => {
    const committee = await TestCommittee.start(4, { pace })
    const [rotten, ...rest] = committee.members
    try {
      await transfer(rotten!, 1, 2)
      await rotten!.stop()
      const store = new LmdbLedgerStore(rotten!.dir)
      const [mine, other] = [1, 2].map((index) => hexToBytes(testAccount(index).address))
      store.write([{ table: 'account', key: mine!, value: store.get('account', other!)!.slice() }])
      await store.close()
      await rotten!.start()
      await transfer(rest[0]!, 3, 2)
      // Its balance is wrong where it is touched next.
      await transfer(rest[0]!, 1, 1)
      await assert.rejects(rotten!.role.stopped, { code: 'DIVERGED' })
      const order = join(rotten!.dir, 'order')
      const dump = (await readdir(order)).find((name) => name.startsWith('halt-'))
      const reason = JSON.parse(await readFile(join(order, dump!, 'reason.json'), 'utf8'))
      assert.equal(reason.code, 'DIVERGED')
      assert.notEqual(reason.details.certified, reason.details.executed)
      await assertSameChain(rest, await headOf(rest[0]!))
    } finally {
      await committee.remove()
    }
  })

  it('that is killed again and again never signs two blocks of one round, and comes back each time', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-killed-'))
    const calm = { pace: { minRoundMs: 20, idleRoundMs: 100 } }
    const seats = await testSeats(4)
    const genesis = committeeGenesis(seats)
    await writeGenesis(join(dir, 'genesis.json'), genesis)
    const members = seats.seats.map((seat, index) => new TestMember(join(dir, String(index)), seat, genesis, calm))
    const [killed, ...rest] = members
    await Promise.all(members.map((member) => member.writeKeys(true)))
    let child: ChildProcess | undefined
    const start = async () => {
      const script = new URL('./member-child.ts', import.meta.url).pathname
      child = spawn(
        process.execPath,
        ['--conditions=@cumulus/source', script, killed!.dir, join(dir, 'genesis.json')],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )
      const ended = once(child, 'exit').then(([code]) => assert.fail(`the member ended with code ${code}`))
      await Promise.race([once(child.stdout!, 'data'), ended])
      ended.catch(() => {})
    }
    const roundOf = async () => (await rest[0]!.status()).orderer.members[0]!.round
    try {
      await Promise.all(rest.map((member) => member.start()))
      for (let kill = 0; kill < 6; kill++) {
        const before = await roundOf()
        await start()
        await eventually('own blocks', async () => (await roundOf()) > before + 2)
        // Somewhere in a round, elsewhere each time.
        await setTimeout(37 * kill)
        const exited = once(child!, 'exit')
        child!.kill('SIGKILL')
        await exited
      }
      await transfer(rest[0]!, 1, 3)
      for (const member of rest) assert.deepEqual((await member.status()).orderer.evidence, [])
      await assertSameChain(rest, await headOf(rest[0]!))
      const log = await readFile(join(killed!.dir, 'order', 'wal.log'))
      const owner = { chainId: BigInt(paramsOf(genesis).chainId), era: 0, member: 0 }
      const found = decodeLogFile(new Uint8Array(log), owner)
      assert.ok(found.kind === 'log')
      assert.ok(found.height > 0n, 'the log was never begun anew')
    } finally {
      child?.kill('SIGKILL')
      await Promise.all(rest.map((member) => member.stop()))
      await rm(dir, { recursive: true })
    }
  })
})

describe('the port of a member', () => {
  it('refuses strangers, and survives what members must not send', async () => {
    const committee = await TestCommittee.start(4, { pace: { minRoundMs: 20, idleRoundMs: 300 } })
    const [victim, , , last] = committee.members
    const address = { host: '127.0.0.1', port: victim!.seat.port }
    const refusals = async (code: string) => {
      const metric = await victim!.metrics.getSingleMetric('cumulus_consensus_refused_total')!.get()
      return metric.values.find(({ labels }) => labels['code'] === code)?.value ?? 0
    }
    const stranger = await dial({ address, identity: PeerIdentity.create(), handlers: {} })
    // Its own process is quiet meanwhile: one member may be away.
    await last!.stop()
    const member = await dial({ address, identity: new PeerIdentity(last!.seat.seed), handlers: {} })
    try {
      for (const op of [FrameOp.dag, FrameOp.shareTransactions, FrameOp.getOrderPoint]) {
        await assert.rejects(stranger.request(op, { body: Uint8Array.of(5) }), { code: 'NOT_A_MEMBER' })
      }
      assert.equal(await refusals('NOT_A_MEMBER'), 3)

      const bodies = [
        new Uint8Array(0),
        Uint8Array.of(9, 9, 9),
        new Uint8Array(randomBytes(2_000)),
        new Uint8Array(FRAME_BODY_BYTES_MAX),
      ]
      for (const body of bodies) await member.request(FrameOp.dag, { body })
      assert.equal(await refusals('MALFORMED'), bodies.length)

      const shared = (body: Uint8Array) => member.request(FrameOp.shareTransactions, { body })
      await assert.rejects(shared(Uint8Array.of(1, 2, 3)), { code: 'MALFORMED' })
      await assert.rejects(shared(new Uint8Array(2 ** 21)), { code: 'TOO_LARGE' })
      await assert.rejects(shared(new Uint8Array(4 * 300)), { code: 'TOO_LARGE' })
      // A list of what are no transactions: nothing is taken, nobody is hurt.
      assert.deepEqual((await shared(Uint8Array.of(2, 0, 0, 0, 1, 2))).meta, Uint8Array.of(0, 0))

      const point = (offset: number) => member.request(FrameOp.getOrderPoint, { offset })
      await assert.rejects(point(1e9), { code: 'NOT_YET' })
      await transfer(victim!, 0, 2)
      const certified = async () => Number((await victim!.status()).orderer.certifiedHeight)
      await eventually('a certificate', async () => (await certified()) > 0)
      assert.ok((await point(await certified())).body.length > 0)
    } finally {
      stranger.close()
      member.close()
      await committee.remove()
    }
  })

  it('is closed for a while to a member that sends nonsense, and the others go on', async () => {
    const committee = await TestCommittee.start(4, { pace: { minRoundMs: 20, idleRoundMs: 300 } })
    const [victim, other, , last] = committee.members
    const metric = async (name: string, labels: Record<string, string | number>) => {
      const { values } = await victim!.metrics.getSingleMetric(`cumulus_consensus_${name}`)!.get()
      const isIt = (one: { labels: object }) =>
        Object.entries(labels).every(([key, value]) => Object(one.labels)[key] === value)
      return values.find(isIt)?.value ?? 0
    }
    await last!.stop()
    const knock = () =>
      dial({
        address: { host: '127.0.0.1', port: victim!.seat.port },
        identity: new PeerIdentity(last!.seat.seed),
        handlers: {},
      })
    const member = await knock()
    try {
      const nonsense = () => member.request(FrameOp.dag, { body: Uint8Array.of(9, 9) })
      const answers = await Promise.allSettled(Array.from({ length: 60 }, nonsense))
      assert.ok(answers.every(({ status }) => status === 'fulfilled'))
      for (let i = 0; i < 1_000 && !member.closeReason; i++) await nonsense().catch(() => {})
      assert.ok(member.closeReason)
      assert.equal(await metric('shunned_total', { member: 3 }), 1)
      const again = await knock()
      await assert.rejects(again.request(FrameOp.dag, { body: Uint8Array.of(9) }), { code: 'SHUNNED' })
      again.close()
      await transfer(victim!, 0, 3)
      await assertSameChain([victim!, other!], await headOf(victim!))
    } finally {
      member.close()
      await committee.remove()
    }
  })
})
