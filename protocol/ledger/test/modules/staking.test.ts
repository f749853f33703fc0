import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex } from '@cumulus/bytes'
import { minimal, type Params } from '@cumulus/params'
import { BlsKey } from '@cumulus/threshold'
import type { Address } from '@cumulus/types'
import fc from 'fast-check'
import { module } from '../../src/framework/index.ts'
import {
  candidateState,
  GOVERNANCE_ADDRESS,
  modulesFor,
  parameters,
  potKind,
  registrationMessage,
  slashFraction,
  staking,
  treasury,
} from '../../src/modules/index.ts'
import { nobody, TestChain } from '../framework/test-chain.ts'
import { account, peerKeyOf, TOKEN } from './test-network.ts'

const { minSelfStake, minBond, unbondingEras, jailEras } = minimal.staking
const MEMBERS = 4
const [ann, bea, cid] = [account(1), account(2), account(3)] as const
const [nan, ned, reporter] = [account(11), account(12), account(13)] as const

/** Punishes at anybody's word. */
const judge = module({ name: 'Judge', address: '0x0000000000000000000000000000000000000cfe', storage: {} }).fn(
  'function slash(address offender, uint32 era) returns (uint256)',
  0,
  (c, offender, era) => c.ask(staking).slash({ offender, era, members: MEMBERS, reporter }),
)

const blsKeys = new Map<Address, BlsKey>()
function blsKeyOf(who: Address): BlsKey {
  let key = blsKeys.get(who)
  if (!key) blsKeys.set(who, (key = BlsKey.fromSeed(new Uint8Array(32).fill(Number(who) % 251))))
  return key
}

class StakingChain extends TestChain {
  constructor(params: Params = minimal) {
    super([...modulesFor(params), judge], { params })
    for (const who of [ann, bea, cid, nan, ned]) this.fund(who, 100n * minSelfStake)
  }

  setKeys(who: Address, { peer = who, bls = who, proof = who } = {}) {
    const message = registrationMessage(this.block.chainId, who)
    return this.transact(
      staking,
      'setKeys',
      [
        bytesToHex(peerKeyOf(peer).publicKey),
        bytesToHex(blsKeyOf(bls).publicKey),
        bytesToHex(blsKeyOf(proof).provePossession()),
        bytesToHex(peerKeyOf(peer).sign(message)),
      ],
      { from: who },
    )
  }

  bond(from: Address, candidate: Address, value: bigint) {
    return this.transact(staking, 'bond', [candidate], { from, value })
  }

  stand(who: Address, { stake = minSelfStake, commission = 0 } = {}) {
    this.setKeys(who)
    this.bond(who, who, stake)
    this.call(staking, 'validate', [commission], { from: who })
  }

  /** Blocks by each of `coinbases`, then the end of as many eras. */
  endEra(coinbases: readonly Address[] = [], count = 1) {
    for (const coinbase of coinbases) this.endBlock({ coinbase })
    for (let i = 0; i < count; i++) {
      this.advance({ blocks: 1n, epochs: minimal.epochsPerEra })
      this.endBlock({ coinbase: `0x${'0'.repeat(40)}` })
    }
  }

  stakeOf(holder: Address, candidate: Address): bigint {
    return this.call(staking, 'stakeOf', [holder, candidate])
  }

  claim(from: Address, candidate: Address): bigint {
    return this.call(staking, 'claim', [candidate, from], { from })
  }

  slash(offender: Address, era = this.block.era) {
    return this.transact(judge, 'slash', [offender, era])
  }

  eraPot(era: number): bigint {
    return this.call(treasury, 'eraPotOf', [potKind.validators, BigInt(era)])
  }

  candidateOf(who: Address) {
    return this.call(staking, 'candidateOf', [who])
  }

  checkBooks(): void {
    const [staked, unbonding, rewards] = this.call(staking, 'totals', [])
    assert.equal(this.world.getBalance(staking.address), staked + unbonding + rewards)
  }
}

describe('the part of a stake that a misdeed costs', () => {
  it('is a tenth for one, and all for a third', () => {
    assert.equal(slashFraction(1, 11), 100_000)
    assert.equal(slashFraction(2, 11), Math.floor((36 * 1e6) / 121))
    assert.equal(slashFraction(3, 11), Math.floor((81 * 1e6) / 121))
    assert.equal(slashFraction(4, 11), 1_000_000)
    assert.equal(slashFraction(1, 1), 1_000_000)
  })
  it('grows with the number of offenders and falls with that of members', () => {
    const count = fc.integer({ min: 1, max: 64 })
    fc.assert(
      fc.property(count, count, (k, n) => {
        assert.ok(slashFraction(k + 1, n) >= slashFraction(k, n))
        assert.ok(slashFraction(k, n + 1) <= slashFraction(k, n))
        assert.ok(slashFraction(k, n) >= 100_000 && slashFraction(k, n) <= 1_000_000)
      }),
    )
  })
})

describe('candidates', () => {
  it('stand with keys, stake and a commission', () => {
    const chain = new StakingChain()
    assert.throws(() => chain.call(staking, 'validate', [50], { from: ann }), /no such candidate/)
    assert.throws(() => chain.bond(ann, ann, minSelfStake), /no such candidate/)
    chain.setKeys(ann)
    chain.bond(ann, ann, minSelfStake - 1n)
    assert.throws(() => chain.call(staking, 'validate', [50], { from: ann }), /StakeTooLow/)
    chain.bond(ann, ann, minBond)
    assert.throws(() => chain.call(staking, 'validate', [1001], { from: ann }), /over 1000/)
    chain.call(staking, 'validate', [50], { from: ann })
    const { state, ownStake, backing, keysSinceEra, peerKey } = chain.candidateOf(ann)
    assert.deepEqual([state, ownStake, backing, keysSinceEra], [2, minSelfStake - 1n + minBond, 0n, 0n])
    assert.equal(chain.call(staking, 'candidateByPeerKey', [peerKey]).account, ann)
    assert.equal(chain.call(staking, 'candidateCount', []), 1n)
    assert.equal(chain.call(staking, 'candidates', [0n, 10n])[0]!.account, ann)
    assert.equal(chain.candidateOf(bea).account, `0x${'0'.repeat(40)}`)
  })

  it('prove that both keys are theirs, and nobody else has them', () => {
    const chain = new StakingChain()
    chain.setKeys(ann)
    assert.throws(() => chain.setKeys(bea, { proof: ann }), /does not show/)
    assert.throws(() => chain.setKeys(bea, { peer: ann }), /peer key belongs/)
    assert.throws(() => chain.setKeys(bea, { bls: ann, proof: ann }), /BLS key belongs/)
    const zeros = `0x${'00'.repeat(48)}` as const
    const key = bytesToHex(peerKeyOf(bea).publicKey)
    const setKeys = (bls: `0x${string}`, proof: `0x${string}`, signature: `0x${string}`) =>
      chain.call(staking, 'setKeys', [key, bls, proof, signature], { from: bea })
    const signature = bytesToHex(peerKeyOf(bea).sign(registrationMessage(minimal.chainId, bea)))
    assert.throws(() => setKeys('0x12', '0x', signature), /48 bytes/)
    assert.throws(() => setKeys(zeros, `0x${'00'.repeat(96)}`, signature), /does not show/)
    assert.throws(() => setKeys(zeros, '0x', '0x1234'), /did not sign/)
    // A change frees the old ones.
    chain.setKeys(ann, { peer: cid, bls: cid, proof: cid })
    chain.setKeys(bea, { peer: ann, bls: ann, proof: ann })
    assert.equal(chain.candidateOf(ann).state, candidateState.known)
  })

  it('keep their own stake above the minimum while they stand, which governance sets', () => {
    const chain = new StakingChain()
    chain.stand(ann, { stake: minSelfStake + minBond })
    assert.throws(() => chain.call(staking, 'unbond', [ann, minBond + 1n], { from: ann }), /StakeTooLow/)
    chain.call(staking, 'unbond', [ann, minBond], { from: ann })
    const raise = ['staking.minSelfStake', 2n * minSelfStake] as const
    chain.call(parameters, 'set', raise, { from: GOVERNANCE_ADDRESS })
    chain.advance({ epochs: minimal.epochsPerEra })
    chain.setKeys(bea)
    chain.bond(bea, bea, minSelfStake)
    assert.throws(() => chain.call(staking, 'validate', [0], { from: bea }), /StakeTooLow/)
    chain.call(staking, 'chill', [], { from: ann })
    assert.throws(() => chain.call(staking, 'chill', [], { from: ann }), /not standing/)
    assert.equal(chain.call(staking, 'candidateCount', []), 0n)
    chain.call(staking, 'unbond', [ann, minSelfStake], { from: ann })
    chain.checkBooks()
  })

  it('leave the list from any place of it', () => {
    const chain = new StakingChain()
    for (const who of [ann, bea, cid]) chain.stand(who)
    chain.call(staking, 'chill', [], { from: ann })
    const standing = () => chain.call(staking, 'candidates', [0n, 10n]).map(({ account }) => account)
    assert.deepEqual(standing(), [cid, bea])
    chain.call(staking, 'chill', [], { from: bea })
    chain.call(staking, 'chill', [], { from: cid })
    assert.deepEqual(standing(), [])
    chain.call(staking, 'validate', [1], { from: bea })
    assert.deepEqual(standing(), [bea])
  })

  it('change their commission from the next era on', () => {
    const chain = new StakingChain()
    chain.stand(ann, { commission: 100 })
    chain.endEra()
    assert.equal(chain.candidateOf(ann).commissionPermille, 100)
    chain.call(staking, 'validate', [900], { from: ann })
    assert.equal(chain.candidateOf(ann).commissionPermille, 100)
    chain.endEra()
    assert.equal(chain.candidateOf(ann).commissionPermille, 900)
  })
})

describe('stake', () => {
  it('comes back when as many eras have passed as a misdeed can be punished for', () => {
    const chain = new StakingChain()
    chain.stand(ann)
    chain.bond(nan, ann, 10n * TOKEN)
    const before = chain.world.getBalance(nan)
    chain.call(staking, 'unbond', [ann, 4n * TOKEN], { from: nan })
    chain.endEra()
    chain.call(staking, 'unbond', [ann, 5n * TOKEN], { from: nan })
    assert.deepEqual(chain.call(staking, 'unbondingOf', [nan]), [
      { candidate: ann, amount: 4n * TOKEN, withdrawableEra: BigInt(unbondingEras) },
      { candidate: ann, amount: 5n * TOKEN, withdrawableEra: BigInt(unbondingEras + 1) },
    ])
    chain.endEra([], unbondingEras - 2)
    assert.equal(chain.call(staking, 'withdraw', [], { from: nan }), 0n)
    chain.endEra()
    assert.equal(chain.call(staking, 'withdraw', [], { from: nan }), 4n * TOKEN)
    chain.endEra()
    assert.equal(chain.call(staking, 'withdraw', [], { from: nan }), 5n * TOKEN)
    assert.equal(chain.world.getBalance(nan) - before, 9n * TOKEN)
    assert.deepEqual(chain.call(staking, 'unbondingOf', [nan]), [])
    chain.checkBooks()
  })

  it('is divided among the candidates one names, no more than 15', () => {
    const chain = new StakingChain()
    for (const who of [ann, bea, cid]) chain.setKeys(who)
    chain.call(staking, 'nominate', [[ann, bea, cid]], { from: nan, value: 10n * TOKEN })
    const third = (10n * TOKEN) / 3n
    assert.deepEqual(
      chain.call(staking, 'positionsOf', [nan]).map(({ stake }) => stake),
      [third + 1n, third, third],
    )
    const nominate = (list: Address[], value: bigint) => () =>
      chain.call(staking, 'nominate', [list], { from: nan, value })
    assert.throws(nominate([], TOKEN), /1 to 15/)
    assert.throws(nominate([ann, ann], 2n * TOKEN), /named twice/)
    assert.throws(nominate([ann, nobody], 2n * TOKEN), /no such candidate/)
    const many = Array.from({ length: 13 }, (_, i) => account(100 + i))
    for (const who of many) chain.setKeys(who)
    assert.throws(nominate(many, 13n * TOKEN), /at most 15/)
    nominate(many.slice(1), 12n * TOKEN)()
    // One's own candidacy is not among them.
    chain.setKeys(nan)
    chain.bond(nan, nan, TOKEN)
    assert.equal(chain.call(staking, 'positionsOf', [nan]).length, 16)
    assert.throws(() => chain.bond(nan, many[0]!, TOKEN), /at most 15/)
    // A position given up makes room.
    chain.call(staking, 'unbond', [cid, third], { from: nan })
    chain.bond(nan, many[0]!, TOKEN)
  })

  it('is at least the smallest bond, or nothing', () => {
    const chain = new StakingChain()
    chain.setKeys(ann)
    assert.throws(() => chain.bond(nan, ann, minBond - 1n), /StakeTooLow/)
    assert.throws(() => chain.bond(nan, ann, 0n), /one share/)
    chain.bond(nan, ann, minBond + 5n)
    assert.throws(() => chain.call(staking, 'unbond', [ann, 6n], { from: nan }), /StakeTooLow/)
    assert.throws(() => chain.call(staking, 'unbond', [ann, minBond + 6n], { from: nan }), /not so much/)
    assert.throws(() => chain.call(staking, 'unbond', [ann, 0n], { from: nan }), /not so much/)
    assert.throws(() => chain.call(staking, 'unbond', [ann, 1n], { from: ned }), /not so much/)
    chain.call(staking, 'unbond', [ann, minBond + 5n], { from: nan })
    assert.deepEqual(chain.call(staking, 'positionsOf', [nan]), [])
  })

  it('unbonds in few entries: one for each candidate and era', () => {
    const chain = new StakingChain()
    chain.setKeys(ann)
    chain.bond(nan, ann, 100n * TOKEN)
    for (let i = 0; i < 5; i++) chain.call(staking, 'unbond', [ann, TOKEN], { from: nan })
    assert.equal(chain.call(staking, 'unbondingOf', [nan]).length, 1)
  })
})

describe('rewards', () => {
  it('follow points, then commission, then stake', () => {
    const chain = new StakingChain()
    chain.stand(ann, { stake: 2_000n * TOKEN, commission: 100 })
    chain.stand(bea, { stake: 2_000n * TOKEN })
    chain.bond(nan, ann, 3_000n * TOKEN)
    chain.bond(ned, ann, 1_000n * TOKEN)
    chain.endEra()
    // Three blocks of four are Ann's.
    chain.endEra([ann, ann, bea, ann])
    assert.deepEqual(chain.call(staking, 'pointsOf', [1n, ann]), [60n, 80n])
    const pot = chain.eraPot(1)
    const anns = (pot * 3n) / 4n
    const shared = anns - anns / 10n
    const near = (a: bigint, b: bigint) => assert.ok(a - b <= 2n && b - a <= 2n, `${a} is not about ${b}`)
    near(chain.claim(nan, ann), (shared * 3n) / 6n)
    near(chain.claim(ned, ann), shared / 6n)
    near(chain.claim(ann, ann), anns / 10n + shared / 3n)
    near(chain.claim(bea, bea), pot / 4n)
    assert.throws(() => chain.claim(bea, bea), /nothing to claim/)
    chain.checkBooks()
  })

  it('are for stake that was there when the era began', () => {
    const chain = new StakingChain()
    chain.stand(ann, { stake: 1_000n * TOKEN })
    chain.endEra()
    chain.bond(nan, ann, 1_000n * TOKEN)
    chain.endEra([ann])
    assert.throws(() => chain.claim(nan, ann), /nothing to claim/)
    assert.equal(chain.claim(ann, ann), chain.eraPot(1))
    chain.endEra([ann])
    const half = chain.claim(nan, ann)
    assert.ok(half <= chain.eraPot(2) / 2n && half >= chain.eraPot(2) / 2n - 1n)
  })

  it('go to whoever made blocks even without stake, as the first committee does', () => {
    const chain = new StakingChain()
    chain.endEra([cid])
    assert.equal(chain.call(staking, 'payout', [cid]), true)
    assert.equal(chain.claim(cid, cid), chain.eraPot(0))
    chain.checkBooks()
  })

  it('wait for as long as one likes, and are paid out in steps', () => {
    const chain = new StakingChain()
    chain.stand(ann)
    chain.bond(nan, ann, minSelfStake)
    for (let i = 0; i < 40; i++) chain.endEra([ann])
    assert.equal(chain.candidateOf(ann).unpaidEras, 40)
    assert.throws(() => chain.claim(nan, ann), /call payout/)
    assert.equal(chain.call(staking, 'payout', [ann], { from: ned }), false)
    assert.equal(chain.candidateOf(ann).unpaidEras, 8)
    assert.equal(chain.call(staking, 'payout', [ann], { from: ned }), true)
    const issued = Array.from({ length: 40 }, (_, era) => chain.eraPot(era)).reduce((a, b) => a + b)
    const claimed = chain.claim(nan, ann) + chain.claim(ann, ann)
    assert.ok(issued - claimed < 100n && claimed <= issued)
  })

  it('of an era that is not issued yet are waited for', () => {
    const chain = new StakingChain()
    chain.stand(ann)
    chain.endBlock({ coinbase: ann })
    chain.advance({ blocks: 1n, epochs: minimal.epochsPerEra })
    assert.throws(() => chain.claim(ann, ann), /try again in the next block/)
    assert.equal(chain.call(staking, 'payout', [ann]), false)
    chain.endBlock()
    assert.ok(chain.claim(ann, ann) > 0n)
  })
})

describe('a provable misdeed', () => {
  it('costs the candidate a tenth, its backers half of that, and jail', () => {
    const chain = new StakingChain()
    chain.stand(ann, { stake: 10_000n * TOKEN })
    chain.bond(nan, ann, 1_000n * TOKEN)
    // Of four members, one alone is more than the least: (3/4)².
    const ppm = BigInt(slashFraction(1, MEMBERS))
    const before = chain.call(treasury, 'potOf', [potKind.community]).held
    const { events } = chain.slash(ann)
    assert.equal(events.length, 0, 'the judge logs nothing')
    const own = (10_000n * TOKEN * ppm) / 1_000_000n
    const backers = (1_000n * TOKEN * (ppm / 2n)) / 1_000_000n
    assert.equal(chain.stakeOf(ann, ann), 10_000n * TOKEN - own)
    assert.equal(chain.stakeOf(nan, ann), 1_000n * TOKEN - backers)
    assert.equal(chain.world.getBalance(reporter), (own + backers) / 10n)
    const community = chain.call(treasury, 'potOf', [potKind.community]).held - before
    assert.equal(community, own + backers - (own + backers) / 10n)
    assert.equal(chain.candidateOf(ann).state, candidateState.known)
    assert.throws(() => chain.call(staking, 'validate', [0], { from: ann }), /in jail/)
    chain.endEra([], jailEras)
    chain.call(staking, 'validate', [0], { from: ann })
    chain.checkBooks()
  })

  it('is paid for once in an era, and dearer for all if others did it too', () => {
    const chain = new StakingChain()
    for (const who of [ann, bea]) chain.stand(who, { stake: 10_000n * TOKEN })
    chain.slash(ann)
    const once = chain.stakeOf(ann, ann)
    chain.slash(ann)
    assert.equal(chain.stakeOf(ann, ann), once)
    assert.equal(chain.call(staking, 'slashedPpmOf', [0n, ann]), slashFraction(1, MEMBERS))
    chain.slash(bea)
    assert.equal(slashFraction(2, MEMBERS), 1_000_000)
    assert.deepEqual([chain.stakeOf(ann, ann), chain.stakeOf(bea, bea)], [0n, 0n])
    chain.checkBooks()
  })

  it('reaches stake that was leaving then, not what had left before', () => {
    const chain = new StakingChain()
    chain.stand(ann, { stake: 10_000n * TOKEN })
    chain.bond(nan, ann, 300n * TOKEN)
    chain.call(staking, 'unbond', [ann, 100n * TOKEN], { from: nan })
    chain.endEra()
    chain.call(staking, 'unbond', [ann, 100n * TOKEN], { from: nan })
    chain.endEra()
    chain.slash(ann, 1)
    const kept = 1_000_000n - BigInt(slashFraction(1, MEMBERS)) / 2n
    const amounts = chain.call(staking, 'unbondingOf', [nan]).map(({ amount }) => amount)
    assert.deepEqual(amounts, [100n * TOKEN, (100n * TOKEN * kept) / 1_000_000n])
    assert.equal(chain.stakeOf(nan, ann), (100n * TOKEN * kept) / 1_000_000n)
    chain.endEra([], unbondingEras)
    assert.equal(
      chain.call(staking, 'withdraw', [], { from: nan }),
      amounts.reduce((a, b) => a + b),
    )
    chain.checkBooks()
  })

  it('that costs all leaves a pool that is used again once the worthless shares are given up', () => {
    const chain = new StakingChain()
    for (const who of [ann, bea]) chain.stand(who)
    chain.slash(ann)
    chain.slash(bea)
    assert.throws(() => chain.bond(ann, ann, minSelfStake), /all stake there was slashed/)
    chain.call(staking, 'unbond', [ann, 0n], { from: ann })
    chain.bond(ann, ann, minSelfStake)
    assert.equal(chain.stakeOf(ann, ann), minSelfStake)
    chain.checkBooks()
  })
})

describe('any sequence of staking operations', () => {
  const candidates = [ann, bea, cid] as const
  const holders = [ann, bea, cid, nan, ned] as const
  const holder = fc.constantFrom(...holders)
  const candidate = fc.constantFrom(...candidates)
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.tuple(fc.constant('bond' as const), holder, candidate, fc.integer({ min: 1, max: 5000 })),
    },
    {
      weight: 4,
      arbitrary: fc.tuple(fc.constant('unbond' as const), holder, candidate, fc.integer({ min: 0, max: 100 })),
    },
    { weight: 2, arbitrary: fc.tuple(fc.constant('withdraw' as const), holder) },
    { weight: 2, arbitrary: fc.tuple(fc.constant('claim' as const), holder, candidate) },
    { weight: 3, arbitrary: fc.tuple(fc.constant('era' as const), fc.array(candidate, { maxLength: 4 })) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('slash' as const), candidate) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('validate' as const), candidate, fc.integer({ min: 0, max: 1000 })) },
  )

  it('keeps books that add up, and gives everybody back no more than is there', () => {
    let refused = 0
    let done = 0
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const chain = new StakingChain()
        for (const who of candidates) chain.setKeys(who)
        for (const [kind, ...rest] of steps) {
          const total = chain.world.totalBalance()
          try {
            if (kind === 'bond') chain.bond(rest[0] as Address, rest[1] as Address, BigInt(rest[2] as number) * TOKEN)
            if (kind === 'unbond') {
              const [from, to] = rest as unknown as [Address, Address]
              const amount = (chain.stakeOf(from, to) * BigInt(rest[2] as number)) / 100n
              chain.call(staking, 'unbond', [to, amount], { from })
            }
            if (kind === 'withdraw') chain.call(staking, 'withdraw', [], { from: rest[0] as Address })
            if (kind === 'claim') chain.claim(rest[0] as Address, rest[1] as Address)
            if (kind === 'slash') chain.slash(rest[0] as Address)
            if (kind === 'validate') {
              chain.call(staking, 'validate', [rest[1] as number], { from: rest[0] as Address })
            }
            done++
          } catch (error) {
            if ((error as Error).constructor.name !== 'Reverted') throw error
            refused++
          }
          if (kind === 'era') chain.endEra(rest[0] as Address[])
          else assert.equal(chain.world.totalBalance(), total, 'tokens only move')
          chain.checkBooks()
          const [staked, unbonding, rewards] = chain.call(staking, 'totals', [])
          let [held, leaving, claimable] = [0n, 0n, 0n]
          for (const one of holders) {
            for (const { stake, reward } of chain.call(staking, 'positionsOf', [one])) {
              held += stake
              claimable += reward
            }
            for (const { amount } of chain.call(staking, 'unbondingOf', [one])) leaving += amount
          }
          // Shares are rounded in favour of those who stay: a few wei are nobody's.
          assert.ok(held <= staked && staked - held < 1_000n, `${staked} staked, ${held} held`)
          assert.ok(leaving <= unbonding && unbonding - leaving < 1_000n, `${unbonding} unbonding, ${leaving} held`)
          assert.ok(claimable <= rewards)
        }
      }),
      { numRuns: 60 },
    )
    assert.ok(done > refused / 10, `${done} done, ${refused} refused`)
  })
})
