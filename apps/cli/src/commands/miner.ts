import { ChainError } from '@cumulus/chain'
import { usableUnits } from '@cumulus/store'
import { accountSettings, formatTokens, openAccount, openAccounts, parseTokens } from '../chain-access.ts'
import { CliError, command, formatBytes } from '../command.ts'
import { type MinerReport, reportMiner } from '../miner-report.ts'
import { optionalAddress } from '../plan.ts'
import { bold, green, red, renderTable, yellow } from '../table.ts'

export const minerStatus = command({
  name: 'miner status',
  summary: 'Shows what a miner earns for, how its audits went, and what to do if something is wrong.',
  about: 'Without --name or --key-file: all miners of the local network. Exit code 1 if something is wrong with one.',
  settings: accountSettings,
  examples: ['cumulus miner status', 'cumulus miner status --name miner-03', 'cumulus miner status --key-file m.key'],
  async run({ settings, signal }) {
    const reports = await Promise.all((await openAccounts(settings, 'miner', signal)).map(reportMiner))
    const ok = reports.every(({ advice }) => advice.length === 0)
    if (settings.json) console.log(JSON.stringify({ ok, miners: reports }))
    else if (reports.length === 1) console.log(details(reports[0]!))
    else console.log(overview(reports))
    return ok ? 0 : 1
  },
})

export const minerReward = command({
  name: 'miner reward',
  summary: "Shows a miner's rewards: free, coming free, paid.",
  settings: accountSettings,
  async run({ settings, signal }) {
    const accounts = await openAccounts(settings, 'miner', signal)
    const rewards = await Promise.all(
      accounts.map(async ({ name, chain }) => {
        const [claimable, locked, paid] = await chain.read('Audit', 'rewardsOf', [chain.account])
        return { name, account: chain.account, claimable, locked, paid }
      }),
    )
    if (settings.json) {
      const plain = rewards.map(({ claimable, locked, paid, ...rest }) => {
        return { ...rest, claimable: String(claimable), locked: String(locked), paid: String(paid) }
      })
      console.log(JSON.stringify({ rewards: plain }))
      return 0
    }
    console.log(
      renderTable([
        ['miner', 'free now', 'comes free over time', 'paid'],
        ...rewards.map(({ name, claimable, locked, paid }) => [name, ...[claimable, locked, paid].map(formatTokens)]),
      ]),
    )
    if (rewards.some(({ claimable }) => claimable > 0n)) console.log('\n"cumulus miner claim" pays what is free.')
    return 0
  },
})

export const minerClaim = command({
  name: 'miner claim',
  summary: 'Pays what is free of a miner to its beneficiary.',
  about: 'Half of a reward is free at once, the rest over 90 days. Without --name: all miners of the local network.',
  settings: accountSettings,
  async run({ settings, signal }) {
    const claims = []
    for (const { name, chain } of await openAccounts(settings, 'miner', signal)) {
      try {
        const { events } = await chain.send('Audit', 'claim', [], { signal })
        const event = events.find(({ name: known }) => known === 'RewardClaimed')
        const { to, amount } = (event?.args ?? { to: chain.account, amount: 0n }) as { to: string; amount: bigint }
        claims.push({ name, to, amount })
      } catch (error) {
        if (!(error instanceof ChainError) || error.errorName !== 'NothingToClaim') throw error
        claims.push({ name, to: '', amount: 0n })
      }
    }
    if (settings.json) {
      console.log(JSON.stringify({ claims: claims.map((claim) => ({ ...claim, amount: String(claim.amount) })) }))
      return 0
    }
    for (const { name, to, amount } of claims) {
      console.log(amount === 0n ? `${name}: nothing is free yet` : `${name}: ${formatTokens(amount)} paid to ${to}`)
    }
    return 0
  },
})

export const minerStake = command({
  name: 'miner stake',
  summary: "Adds to a miner's stake, or pays its debts.",
  about: 'Debts are paid first. Without --add it shows what there is.',
  settings: { ...accountSettings, add: { kind: 'text', help: 'tokens to pay in, such as 12.5' } },
  examples: ['cumulus miner stake --name miner-01 --add 10'],
  async run({ settings, signal }) {
    const access = await openAccount(settings, 'miner', signal)
    if (settings.add !== undefined) {
      await access.chain.send('Miners', 'topUp', [], { value: parseTokens(settings.add), signal })
    }
    const { name, stake, collateralLimit, debt, state, advice } = await reportMiner(access)
    if (settings.json) console.log(JSON.stringify({ name, state, stake, collateralLimit, debt, advice }))
    else {
      const [have, limit, owed] = [stake, collateralLimit, debt].map((wei) => formatTokens(BigInt(wei)))
      console.log(`${name}: stake ${have}, limit ${limit}, debt ${owed}, ${state}`)
      for (const { cause, next } of advice) console.log(`${yellow('!')} ${cause}\n  ${next}`)
    }
    return 0
  },
})

export const minerSpace = command({
  name: 'miner space',
  summary: 'Shows or changes the space that a miner declares.',
  about: [
    'A sixteenth of the disk space, at least 64 MiB, is kept for logs and the index; the rest is declared in units. More units need more stake,',
    'which is paid along. Fewer give back no stake: it stays above the limit. Set the same size as "space" of the miner itself,',
    'and start it again: it declares what its own settings say.',
  ].join('\n'),
  settings: { ...accountSettings, set: { kind: 'bytes', help: 'disk space to offer from now on' } },
  examples: ['cumulus miner space --name miner-01 --set 2GiB'],
  async run({ settings, signal }) {
    const access = await openAccount(settings, 'miner', signal)
    const { chain, params } = access
    const before = await reportMiner(access)
    if (settings.set !== undefined) {
      const units = usableUnits(settings.set, params.unitBytes)
      const used = before.units.locked + before.units.service
      if (units < Math.max(used, 1)) {
        throw new CliError(
          'SPACE_IN_USE',
          `${formatBytes(settings.set)} holds ${units} units, and ${used} are in use`,
          `Offer at least ${Math.ceil(leastSpace(Math.max(used, 1), params.unitBytes) / MiB)}MiB.`,
        )
      }
      const needed = BigInt(units) * params.stakePerUnit - BigInt(before.stake)
      await chain.send('Miners', 'declareUnits', [units], { value: needed > 0n ? needed : 0n, signal })
    }
    const { name, units, unitBytes, stake } = settings.set === undefined ? before : await reportMiner(access)
    if (settings.json) console.log(JSON.stringify({ name, units, unitBytes, stake }))
    else {
      const size = (count: number) => `${formatBytes(count * unitBytes)} (${count} units)`
      const used = units.locked + units.service
      console.log(
        `${name}: ${size(units.declared)} declared, ${size(used)} in use, stake ${formatTokens(BigInt(stake))}`,
      )
    }
    return 0
  },
})

export const minerBeneficiary = command({
  name: 'miner beneficiary',
  summary: 'Shows or changes who is paid what a miner claims.',
  about: [
    'Rewards that are not claimed yet go to the new one too. The stake comes back to the account of the miner in any case.',
    "The miner's own setting of this name is for its first registration only.",
  ].join('\n'),
  settings: { ...accountSettings, set: { kind: 'text', help: 'address that is paid from now on' } },
  examples: ['cumulus miner beneficiary --name miner-01 --set 0x52908400098527886E0F7030069857D2E4169EE7'],
  async run({ settings, signal }) {
    // Before anything is sent.
    const wanted = optionalAddress('set', settings.set)
    const access = await openAccount(settings, 'miner', signal)
    if (wanted !== undefined) await access.chain.send('Miners', 'setBeneficiary', [wanted], { signal })
    const { name, beneficiary } = await reportMiner(access)
    if (settings.json) console.log(JSON.stringify({ name, beneficiary }))
    else console.log(`${name}: what it claims is paid to ${beneficiary}`)
    return 0
  },
})

const MiB = 2 ** 20

/** The least disk space with so many usable units: what `usableUnits` divides, the other way round. */
export function leastSpace(units: number, unitBytes: number): number {
  const bytes = units * unitBytes
  return Math.max(Math.ceil((bytes * 16) / 15), bytes + Math.min(64 * MiB, bytes))
}

function overview(reports: readonly MinerReport[]): string {
  const rows = reports.map((report) => [
    report.name,
    stateText(report),
    `${formatBytes(report.units.tagged * report.unitBytes)} of ${formatBytes(report.units.service * report.unitBytes)}`,
    `${report.audits.passed} / ${report.audits.failed} / ${report.audits.missed}`,
    report.audits.lastPassedEpoch ?? 'never',
    formatTokens(BigInt(report.rewards.claimable)),
    formatTokens(BigInt(report.rewards.locked)),
    formatTokens(BigInt(report.rewards.paid)),
  ])
  const head = ['miner', 'state', 'proven of stored', 'passed / wrong / missed', 'last proof', 'free', 'locked', 'paid']
  const lines = [renderTable([head, ...rows])]
  if (reports.some(({ simulated }) => simulated)) lines.push(SIMULATED)
  for (const { name, advice } of reports) {
    for (const { cause, next } of advice) lines.push(`${yellow('!')} ${name}: ${cause}\n  ${next}`)
  }
  return lines.join('\n')
}

const SIMULATED =
  '\nTEE workers: simulated, no hardware protection. Proofs are worth as much as the machine of the worker.'

function details(report: MinerReport): string {
  const { units, unitBytes, audits, rewards } = report
  const size = (count: number) => formatBytes(count * unitBytes)
  const tokens = (wei: string) => formatTokens(BigInt(wei))
  const lines = [
    `${bold(report.name)}   ${stateText(report)}   ${report.account}`,
    `  space     ${size(units.declared)} declared, ${size(units.service + units.locked)} in use, ${size(units.idle)} idle (unproven)`,
    `  proven    ${size(units.tagged)} of ${size(units.service)} stored have tags: they are audited and paid for`,
    `  audits    ${audits.passed} passed, ${audits.failed} wrong, ${audits.missed} missed; last passed in epoch ${audits.lastPassedEpoch ?? '– never'}`,
    `  challenge ${report.challenge ? `${report.challenge.state}, of epoch ${report.challenge.epoch}` : 'none so far'}`,
    `  rewards   ${tokens(rewards.claimable)} free, ${tokens(rewards.locked)} coming free, ${tokens(rewards.paid)} paid to ${report.beneficiary}`,
    `  stake     ${tokens(report.stake)}, limit ${tokens(report.collateralLimit)}, debt ${tokens(report.debt)}; account has ${tokens(report.balance)}`,
  ]
  if (report.simulated) lines.push(SIMULATED)
  for (const { cause, next } of report.advice) lines.push(`${yellow('!')} ${cause}\n  ${next}`)
  return lines.join('\n')
}

function stateText({ state }: MinerReport): string {
  if (state === 'active') return green(state)
  return state === 'dead' ? red(state) : yellow(state)
}
