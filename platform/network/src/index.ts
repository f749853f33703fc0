export { type DialComponents, dial } from './dial.ts'
export {
  FRAME_BODY_BYTES_MAX,
  FRAME_HEADER_BYTES,
  FRAME_META_BYTES_MAX,
  type FrameMessage,
  FrameOp,
} from './frame.ts'
export type { FrameHeader } from './frame-parser.ts'
export type { BodyBuffers, NetworkLog } from './frame-session.ts'
export { PeerIdentity, peerIdOf, publicKeyOf } from './identity.ts'
export { defaultLimits, type NetworkLimits } from './limits.ts'
export { type EndpointComponents, type ListenComponents, type Listener, listen } from './listen.ts'
export { formatAddress, type PeerAddress, parseAddress, parseAddresses } from './peer-address.ts'
export { PeerLink, type PeerLinkComponents, type PeerLinkInit, type PeerLinkState } from './peer-link.ts'
export {
  type FrameHandler,
  type FrameHandlers,
  type FrameReply,
  NetworkError,
  type PartialFrame,
  RemoteError,
  type RequestInit,
  type Session,
} from './session.ts'
