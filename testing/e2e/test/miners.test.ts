import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hexToBytes } from '@cumulus/bytes'
import { ChainClient, type ChainEvent, type EventName } from '@cumulus/chain'
import { createLogger } from '@cumulus/service'
import { LocalNetwork } from '../src/local-network.ts'
import { seededBytes } from '../src/seeded-bytes.ts'
import { shortEras as params, SHORT_ERAS } from '../src/short-eras.ts'

const MiB = 2 ** 20
const MINERS = 12
/** An era is paid at the first proof behind it. */
const ERA_SECONDS = (params.epochsPerEra * params.slotsPerEpoch * params.slotMs) / 1_000
const LATE_SECONDS = 120
/** State of a challenge that waits for its answer. */
const OPEN = 1

describe('miners of a local network, as their operators see them', { concurrency: false }, () => {
  let network: LocalNetwork
  let chain: ChainClient
  let miners: string[]
  /** In this one, some audits may have come while not all was tagged. */
  let firstEra: bigint
  const stop = new AbortController()

  before(async () => {
    process.env['NODE_OPTIONS'] = SHORT_ERAS
    network = await LocalNetwork.start({ args: ['--space', '512MiB'] })
    chain = await connect('miner-01')
    const { miners: reports } = await miner('status')
    miners = reports.map(({ account }: { account: string }) => account)
    assert.equal(new Set(miners).size, MINERS)
  })
  after(async () => {
    stop.abort(new Error('the test is over'))
    await network?.remove()
  })

  it('get what was put tagged, and all prove it', async () => {
    await put('first')
    await network.until('every fragment is stored and has its tags', LATE_SECONDS, () => areTagged(1))
    firstEra = await eraOf(await chain.blockNumber())
    await network.until('every miner has passed an audit', LATE_SECONDS, async () =>
      (await records()).every(({ passed }) => passed >= 1),
    )
    await nobodyIsHarmed()
  })

  it('see how they stand, for people and for programs', async () => {
    const { exitCode, stdout } = await network.outcome('miner', 'status', '--name', 'miner-01', '--json')
    const { ok, miners: reports } = JSON.parse(stdout)
    assert.equal(reports.length, 1)
    const [report] = reports
    assert.equal(report.name, 'miner-01')
    assert.equal(report.account, chain.account)
    assert.equal(report.state, 'active')
    assert.equal(report.simulated, true)
    assert.equal(report.units.tagged, report.units.service)
    assert.ok(report.audits.passed >= 1 && report.audits.failed === 0)
    // One audit that came late on a busy machine is worth a word, and the exit code says so.
    assert.equal(ok, report.advice.length === 0)
    assert.equal(exitCode, ok ? 0 : 1)

    const one = await network.outcome('miner', 'status', '--name', 'miner-01')
    assert.match(one.stdout, new RegExp(`miner-01.*active.*${chain.account}`))
    assert.match(one.stdout, /TEE workers: simulated, no hardware protection/)
    const all = await network.outcome('miner', 'status')
    for (let i = 1; i <= MINERS; i++)
      assert.match(all.stdout, new RegExp(`miner-${String(i).padStart(2, '0')} +active`))
  })

  it('are told what is wrong with a call', async () => {
    for (const command of ['status', 'reward', 'claim', 'beneficiary', 'stake', 'space']) {
      const { exitCode, stderr } = await network.outcome('miner', command, '--name', 'miner-99')
      assert.equal(exitCode, 1)
      assert.match(stderr, /there is no miner miner-99 .*UNKNOWN_PROCESS.*\n?There is: miner-01, miner-02/)
    }
    const json = await network.outcome('miner', 'status', '--name', 'miner-99', '--json')
    assert.equal(JSON.parse(json.stdout).error.code, 'UNKNOWN_PROCESS')
    await refused(['stake'], 1, /NAME_NEEDED/)
    await refused(['stake', '--name', 'miner-01', '--add', 'much'], 1, /BAD_AMOUNT/)
    await refused(['stake', '--name', 'miner-01', '--ad', '1'], 64, /USAGE/)
  })

  it('add to their stake', async () => {
    const had = await miner('stake', '--name', 'miner-02')
    const has = await miner('stake', '--name', 'miner-02', '--add', '12.5')
    // Nothing but this has changed it meanwhile.
    await nobodyIsPunished()
    assert.equal(BigInt(has.stake) - BigInt(had.stake), 12_500_000_000_000_000_000n)
    assert.equal(has.collateralLimit, had.collateralLimit)
    assert.equal((await chain.read('Miners', 'minerOf', [miners[1] as `0x${string}`])).stake, BigInt(has.stake))
    const { stdout } = await network.outcome('miner', 'stake', '--name', 'miner-02')
    assert.match(stdout, /^miner-02: stake \d+\.?\d*, limit \d+\.?\d*, debt 0, active/)
  })

  it('declare more space with more stake, and less space with no less', async () => {
    const had = await miner('space', '--name', 'miner-03')
    assert.equal(had.units.declared, 56)
    const grown = await miner('space', '--name', 'miner-03', '--set', '1GiB')
    assert.equal(grown.units.declared, 120)
    assert.equal(BigInt(grown.stake), 120n * params.stakePerUnit)
    await nobodyIsPunished()
    const shrunk = await miner('space', '--name', 'miner-03', '--set', '768MiB')
    assert.equal(shrunk.units.declared, 88)
    assert.equal(shrunk.stake, grown.stake)
    await refused(['space', '--name', 'miner-03', '--set', '1MiB'], 1, /SPACE_IN_USE.*\n?Offer at least \d+MiB/)
    const { stdout } = await network.outcome('miner', 'space', '--name', 'miner-03')
    assert.match(stdout, /^miner-03: 704 MiB \(88 units\) declared, .* in use, stake 1\.2\n/)
  })

  it('are paid by what they proved: the pot of an era, divided by audits passed', async () => {
    let shares = new Map<string, bigint>()
    let era = 0n
    await network.until('an era is paid out in full', 2 * ERA_SECONDS + LATE_SECONDS, async () => {
      for (const [number, rewards] of Map.groupBy(await rewarded(), (reward) => reward.era)) {
        const pot = await chain.read('Treasury', 'eraPotOf', [1, number])
        const paid = rewards.reduce((sum, { nowAmount, lockedAmount }) => sum + nowAmount + lockedAmount, 0n)
        assert.ok(paid <= pot, `era ${number} pays more than its pot`)
        // All but what is rounded off.
        if (number <= firstEra || pot - paid > 1_000n) continue
        era = number
        shares = new Map(rewards.map(({ miner: account, lockedAmount }) => [account, lockedAmount]))
        return true
      }
      return false
    })
    // One stripe: every audit brings as much as any other. So each share is a whole number of equal parts.
    const [points, power] = await Promise.all([
      chain.read('Audit', 'eraPointsOf', [era]),
      chain.read('Audit', 'powerOf', [chain.account]),
    ])
    const total = [...shares.values()].reduce((sum, share) => sum + share, 0n)
    const audits = points / power
    assert.equal(points % power, 0n)
    let counted = 0n
    for (const [account, share] of shares) {
      const count = (share * audits + total / 2n) / total
      const exact = (total * count) / audits
      assert.ok(count >= 1n && count <= BigInt(params.epochsPerEra + 1), `${account} passed ${count} audits in an era`)
      assert.ok(share - exact < 1_000n && exact - share < 1_000n, `${account} gets ${share} for ${count} of ${audits}`)
      counted += count
    }
    assert.equal(counted, audits)
    // Whoever passed is paid, and nobody else. An audit behind the end of an era counts for the next.
    const passed = new Set<string>()
    for (const { args, blockNumber } of await auditEvents('ProofPassed')) {
      if ((await eraOf(blockNumber)) === era) passed.add(args.miner)
    }
    for (const account of shares.keys()) assert.ok(passed.has(account), `${account} is paid for nothing`)
    assert.equal(shares.size, MINERS)
  })

  it('see their rewards, and claim them for their beneficiary', async () => {
    const beneficiary = '0x00000000000000000000000000000000000be4ef'
    await refused(
      ['beneficiary', '--name', 'miner-01', '--set', 'my-wallet'],
      1,
      /"my-wallet" is not an address.*BAD_SETTING/,
    )
    const set = await miner('beneficiary', '--name', 'miner-01', '--set', beneficiary)
    assert.equal(set.beneficiary.toLowerCase(), beneficiary)
    const { rewards } = await miner('reward', '--name', 'miner-01')
    assert.equal(rewards[0].account, chain.account)
    assert.ok(BigInt(rewards[0].claimable) > 0n && BigInt(rewards[0].locked) > 0n && rewards[0].paid === '0')
    const { stdout } = await network.outcome('miner', 'reward')
    assert.equal(stdout.match(/^miner-\d\d /gm)?.length, MINERS)
    assert.match(stdout, /"cumulus miner claim" pays what is free/)

    const { claims } = await miner('claim', '--name', 'miner-01')
    assert.equal(claims.length, 1)
    assert.equal(claims[0].to.toLowerCase(), beneficiary)
    // More may have come free since.
    assert.ok(BigInt(claims[0].amount) >= BigInt(rewards[0].claimable))
    assert.equal(await chain.balanceOf(beneficiary), BigInt(claims[0].amount))
    const { rewards: later } = await miner('reward', '--name', 'miner-01')
    assert.equal(later[0].paid, claims[0].amount)
    assert.ok(BigInt(later[0].claimable) < BigInt(claims[0].amount))
    assert.match((await network.outcome('miner', 'claim', '--name', 'miner-02')).stdout, /^miner-02: [\d.]+ paid to 0x/)
  })

  it('go on unharmed when the TEE worker is killed, and what was put meanwhile is tagged when it is back', async () => {
    const [worker] = network.processes('tee-worker')
    await network.kill(worker!)
    await put('second')
    await network.until('it is stored', LATE_SECONDS, async () => (await units()).every(({ service }) => service >= 2))
    await network.up()
    assert.notEqual(network.processes('tee-worker')[0]!.pid, worker!.pid)
    const earlier = await records()
    await network.until('the new stripe has its tags too', LATE_SECONDS, () => areTagged(2))
    await network.until('every miner passes again', LATE_SECONDS, async () =>
      (await records()).every(({ passed }, i) => passed > earlier[i]!.passed),
    )
    await nobodyIsHarmed()
  })

  it('answer through another validator when theirs is killed in the middle of a window', async () => {
    const name = 'miner-05'
    const account = miners[4] as `0x${string}`
    const config = await readFile(join(network.dir, 'config', `${name}.yaml`), 'utf8')
    const [, port] = /http:\/\/127\.0\.0\.1:(\d+)/.exec(config)!
    const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(4 * LATE_SECONDS * 1_000)])
    let epoch: bigint | undefined
    for await (const { args } of chain.events('Audit', 'Challenged', { args: { miner: account }, signal })) {
      const validator = network.processes('validator').find(({ ports }) => ports['rpc'] === Number(port))
      await network.kill(validator!)
      const { state, seed } = await chain.read('Audit', 'challengeOf', [account])
      // Else it was quicker than we.
      if (state === OPEN && seed === args.seed) {
        epoch = args.epoch
        break
      }
      await network.up()
    }
    const hasPassed = async () =>
      (await auditEvents('ProofPassed')).some(
        ({ args }) => args.miner.toLowerCase() === account.toLowerCase() && args.epoch === epoch,
      )
    await network.until('the proof has passed', LATE_SECONDS, hasPassed)
    await network.up()
    await nobodyIsHarmed()
  })

  async function put(name: string): Promise<void> {
    const source = join(network.dir, `${name}.bin`)
    // A little more than one segment: one stripe is closed, and the rest waits for more.
    await writeFile(source, seededBytes(name, 33 * MiB))
    await network.cumulus('put', source, 'box/')
  }

  async function connect(name: string): Promise<ChainClient> {
    const privateKey = hexToBytes((await readFile(join(network.dir, 'keys', `${name}.key`), 'utf8')).trim())
    const log = createLogger({ name: 'miners', level: 'error' })
    const urls = network.file.validators.map(({ http }) => http)
    return ChainClient.connect({ urls, privateKey, params, log, signal: stop.signal })
  }

  /** What a command of miners says as JSON. */
  async function miner(...args: string[]) {
    const { stdout, stderr } = await network.outcome('miner', ...args, '--json')
    assert.equal(stderr, '')
    return JSON.parse(stdout)
  }

  async function refused(args: readonly string[], expected: number, message: RegExp): Promise<void> {
    const { exitCode, stderr } = await network.outcome('miner', ...args)
    assert.match(stderr, message)
    assert.equal(exitCode, expected)
  }

  async function units() {
    const found = await Promise.all(
      miners.map((account) => chain.read('Miners', 'minerOf', [account as `0x${string}`])),
    )
    return found.map(({ serviceUnits, taggedUnits }) => ({ service: serviceUnits, tagged: taggedUnits }))
  }

  async function areTagged(least: number): Promise<boolean> {
    return (await units()).every(({ service, tagged }) => service >= least && tagged === service)
  }

  async function records() {
    const found = await Promise.all(
      miners.map((account) => chain.read('Audit', 'recordOf', [account as `0x${string}`])),
    )
    return found.map(([, , passed, failed]) => ({ passed, failed }))
  }

  async function rewarded() {
    return (await auditEvents('Rewarded')).map(({ args }) => args)
  }

  /** Everything that the module Audit has told until now, in order. */
  async function auditEvents<Name extends EventName<'Audit'>>(
    ...names: readonly Name[]
  ): Promise<ChainEvent<'Audit', Name>[]> {
    const head = await chain.blockNumber()
    const stopping = new AbortController()
    const found: ChainEvent<'Audit', Name>[] = []
    const onProgress = (block: bigint) => {
      if (block >= head) stopping.abort()
    }
    try {
      const init = { fromBlock: 1n, signal: stopping.signal, onProgress }
      for await (const event of chain.events('Audit', names, init)) found.push(event)
    } catch (error) {
      if (!stopping.signal.aborted) throw error
    }
    return found
  }

  /** Of a chain block, by its own time; a second beside a change of eras it may be one less. */
  async function eraOf(number: bigint): Promise<bigint> {
    const [genesis, block] = await Promise.all([chain.block(0n), chain.block(number)])
    return (block!.timestampSeconds - genesis!.timestampSeconds) / BigInt(ERA_SECONDS)
  }

  /** No proof was wrong, nobody missed two audits in a row, nothing was taken. */
  async function nobodyIsPunished(): Promise<void> {
    const missed = new Set<string>()
    for (const { name, args } of await auditEvents('ProofPassed', 'ProofFailed', 'ProofMissed', 'Penalised')) {
      assert.ok(name === 'ProofPassed' || name === 'ProofMissed', `${args.miner}: ${name} in epoch ${args.epoch}`)
      if (name === 'ProofPassed') missed.delete(args.miner)
      else {
        assert.ok(!missed.has(args.miner), `${args.miner} missed two audits, the second in epoch ${args.epoch}`)
        missed.add(args.miner)
      }
    }
  }

  /** Nobody was punished, and nobody has lost any of its stake. */
  async function nobodyIsHarmed(): Promise<void> {
    await nobodyIsPunished()
    for (const account of miners) {
      const { stake, collateralLimit, debt } = await chain.read('Miners', 'minerOf', [account as `0x${string}`])
      assert.ok(stake >= collateralLimit && debt === 0n, `${account}: ${stake} of ${collateralLimit}, debt ${debt}`)
    }
  }
})
