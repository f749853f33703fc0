export { ConsensusError, type ConsensusErrorCode } from './consensus/consensus-error.ts'
export { nextRandao, SingleOrderer } from './single-orderer.ts'
export { startValidator, type ValidatorConfig } from './validator.ts'
