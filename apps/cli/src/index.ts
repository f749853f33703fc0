export type { NetworkFile, NetworkProcess, NetworkUser, NetworkValidator, RoleName } from './network-folder.ts'
export { selfCommand } from './processes.ts'
