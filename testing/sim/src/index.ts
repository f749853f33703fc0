export {
  addTally,
  type Campaign,
  drawScenario,
  emptyTally,
  runScenario,
  runSeed,
  type Scenario,
  type Tally,
  tallySeeds,
} from './campaign.ts'
export { Checker, hashCommit, Violation, type ViolationCode } from './checker.ts'
export { minimise } from './minimise.ts'
export { MUTATIONS, type Mutation, type MutationName } from './mutations.ts'
export { drawPlan, FAULT_KINDS, type Fault, type FaultKind, type Plan } from './plan.ts'
export { type PoolOptions, runCampaign } from './pool.ts'
export { Random } from './random.ts'
export { StandInCoin, standInSign, standInVerify } from './stand-ins.ts'
export { type RunResult, type Twins, World } from './world.ts'
