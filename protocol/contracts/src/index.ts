export { predeployAddresses, predeploysFor } from './predeploys.ts'
