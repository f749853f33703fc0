export type { NetworkFile, NetworkProcess, NetworkUser, RoleName } from './network-folder.ts'
