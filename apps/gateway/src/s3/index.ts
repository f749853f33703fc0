export { createChecksum } from './checksum/running-checksum.ts'
export { type S3Server, startS3Server } from './s3-server.ts'
export type { S3User, UserDirectory } from './user-directory.ts'
