export { type OrderStatus, ValidatorNetwork, ValidatorProcess } from './validator-network.ts'
