import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { hexToBytes } from '@cumulus/bytes'
import { coinMessage } from '@cumulus/certificate'
import { dial, FrameOp, PeerIdentity } from '@cumulus/network'
import { decodeMessage, encodeMessage, type Message, type RoundCoin } from '@cumulus/r2s'
import { verifyBls } from '@cumulus/threshold'
import { ThresholdCoin } from '../src/consensus/threshold-coin.ts'
import { assertSameChain, headOf, transfer } from './chain-tools.ts'
import { eventually, TestCommittee, type TestMember } from './test-committee.ts'

const pace = { minRoundMs: 10, idleRoundMs: 50 }

async function counted(member: TestMember, name: string): Promise<Record<string, number>> {
  const { values } = await member.metrics.getSingleMetric(`cumulus_consensus_${name}`)!.get()
  return Object.fromEntries(values.map(({ labels, value }) => [String(Object.values(labels)[0]), value]))
}

const decidedBy = async (member: TestMember) => (await member.status()).orderer.decidedRound

/** Speaks for the seat of a member that is not running. */
async function impersonate(
  away: TestMember,
  to: TestMember,
  answer: (message: Message) => Message | undefined = () => undefined,
) {
  const heard: Message[] = []
  const link = await dial({
    address: { host: '127.0.0.1', port: to.seat.port },
    identity: new PeerIdentity(away.seat.seed),
    handlers: {
      [FrameOp.dag]: async ({ body }: { body: Uint8Array }) => {
        const message = decodeMessage(body, 4)
        heard.push(message)
        const reply = answer(message)
        if (reply) void say(reply)
        return { body: new Uint8Array(0) }
      },
    },
  })
  const say = async (message: Message) => {
    await link.request(FrameOp.dag, { body: encodeMessage(message) })
  }
  return { heard, say, close: () => link.close() }
}

/** From now on one of the members, whichever sums first, has no luck with its shares. */
function makeOneUnlucky(t: TestContext): { isNobodyLucky: boolean } {
  const { combine } = ThresholdCoin.prototype
  let unlucky: ThresholdCoin | undefined
  const state = { isNobodyLucky: false }
  const sum = function (this: ThresholdCoin, ...question: Parameters<typeof combine>) {
    unlucky ??= this
    const isLucky = !state.isNobodyLucky && unlucky !== this
    return isLucky ? combine.apply(this, question) : Promise.resolve({ badShares: [] })
  }
  t.mock.method(ThresholdCoin.prototype, 'combine', sum)
  return state
}

describe('a committee of four with a member', () => {
  it('that can sum no coin asks the others for each, verifies it, and remembers it', async (t) => {
    const committee = await TestCommittee.start(4, { pace })
    try {
      const luck = makeOneUnlucky(t)
      const shown = async () => {
        const counts = await Promise.all(committee.members.map((member) => counted(member, 'shown_coins_total')))
        assert.ok(counts.every(({ wrong = 0 }) => wrong === 0))
        return counts.map(({ right = 0 }) => right)
      }
      await eventually('twenty coins that were shown', async () => Math.max(...(await shown())) >= 20)
      const counts = await shown()
      const member = committee.members[counts.indexOf(Math.max(...counts))]!
      const [other] = committee.members.filter((one) => one !== member)
      await transfer(other!, 1, 3)
      await assertSameChain(committee.members, await headOf(other!))

      // Alone it knows from its log alone what it had decided.
      luck.isNobodyLucky = true
      const decided = await decidedBy(member)
      assert.ok(decided >= 20)
      await Promise.all(committee.members.map((one) => one.stop()))
      await member.start()
      assert.ok((await decidedBy(member)) >= decided)
      assert.deepEqual(await counted(member, 'shown_coins_total'), {})
    } finally {
      await committee.remove()
    }
  })

  it('that lies about coins is found out at once, and not believed; whoever asked gets them from the others', async (t) => {
    const committee = await TestCommittee.start(4, { pace })
    const [liar, ...honest] = committee.members as [TestMember, TestMember, TestMember, TestMember]
    try {
      await liar.stop()
      makeOneUnlucky(t)
      const lies = await Promise.all(
        honest.map((member) =>
          impersonate(liar, member, (message) =>
            message.kind === 'ask-coins'
              ? { kind: 'coins', coins: message.rounds.map((round) => ({ round, value: new Uint8Array(96).fill(7) })) }
              : undefined,
          ),
        ),
      )
      const shown = async (result: 'right' | 'wrong') => {
        const counts = await Promise.all(honest.map((member) => counted(member, 'shown_coins_total')))
        return counts.reduce((sum, count) => sum + (count[result] ?? 0), 0)
      }
      // The first answer is looked at, and that may be an honest one: sooner or later the liar is quicker.
      await eventually(
        'a lie, and twenty coins',
        async () => (await shown('wrong')) > 0 && (await shown('right')) >= 20,
      )
      // Whoever asked has no other liar to hear.
      const asker =
        honest[
          (await Promise.all(honest.map((member) => counted(member, 'refused_total')))).findIndex(
            ({ BAD_COIN }) => BAD_COIN,
          )
        ]!
      assert.equal((await counted(asker, 'shown_coins_total'))['wrong'], 1)
      assert.equal((await counted(asker, 'refused_total'))['BAD_COIN'], 1)
      await transfer(asker, 1, 2)
      await assertSameChain(honest, await headOf(asker))
      for (const lie of lies) lie.close()
    } finally {
      await committee.remove()
    }
  })

  it('shows the coins of decided rounds to another that asks, and takes none that nobody asked for', async () => {
    const committee = await TestCommittee.start(4, { pace })
    const [member, , , away] = committee.members as [TestMember, TestMember, TestMember, TestMember]
    try {
      await eventually('ten rounds', async () => (await decidedBy(member)) >= 10)
      await away.stop()
      const stranger = await impersonate(away, member)
      await stranger.say({ kind: 'ask-coins', rounds: [1, 5, 10, 4_000_000] })
      const answered = () => stranger.heard.find((message) => message.kind === 'coins')
      await eventually('an answer', () => answered() !== undefined)
      const { coins } = answered() as { coins: readonly RoundCoin[] }
      assert.deepEqual(
        coins.map(({ round }) => round),
        [1, 5, 10],
      )
      const key = hexToBytes((member.genesis.committee!.coin as { publicKey: string }).publicKey)
      for (const { round, value } of coins) {
        assert.ok(verifyBls(value, coinMessage({ chainId: 27_103, era: 0, round }), key), `round ${round}`)
      }

      const { round } = (await member.status()).orderer
      await stranger.say({ kind: 'coins', coins: [{ round: round + 1, value: new Uint8Array(96) }] })
      await setTimeout(200)
      assert.deepEqual(await counted(member, 'shown_coins_total'), {})
      stranger.close()
      await transfer(member, 1, 2)
    } finally {
      await committee.remove()
    }
  })
})
