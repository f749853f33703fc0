export { SlowProxy } from './slow-proxy.ts'
export { freePorts, type OrderStatus, ValidatorNetwork, ValidatorProcess } from './validator-network.ts'
