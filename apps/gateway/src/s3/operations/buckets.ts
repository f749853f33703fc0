import type { Exchange } from '../exchange.ts'
import { refuseUnsupported } from '../metadata.ts'
import { collect } from '../payload.ts'
import { S3Error } from '../s3-error.ts'
import { childrenOf, element, parseXml, textOf, type XmlNode, xmlDocument } from '../xml.ts'
import { ownBucket, ownerElements } from './access.ts'

export async function listBuckets(exchange: Exchange): Promise<void> {
  const { objects, user, query } = exchange
  const prefix = query.get('prefix') ?? ''
  const after = query.get('continuation-token')
  const limit = readBucketLimit(query.get('max-buckets'))
  const region = query.get('bucket-region')
  const from = after === undefined ? '' : Buffer.from(after, 'base64url').toString('utf8')
  const all = (await objects.listBuckets(user.owner))
    .filter(
      ({ name, region: place }) => name.startsWith(prefix) && name > from && (region === undefined || region === place),
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const page = all.slice(0, limit)
  const last = page.at(-1)
  const token =
    all.length > page.length && last !== undefined ? Buffer.from(last.name).toString('base64url') : undefined
  const buckets = page.map(
    ({ name, createdMs, region: place }) =>
      `<Bucket>${element('Name', name)}${element('CreationDate', new Date(createdMs).toISOString())}${element('BucketRegion', place)}</Bucket>`,
  )
  exchange.sendXml(
    xmlDocument(
      'ListAllMyBucketsResult',
      `<Owner>${ownerElements(exchange, user.owner)}</Owner><Buckets>${buckets.join('')}</Buckets>${element('ContinuationToken', token)}${prefix === '' ? '' : element('Prefix', prefix)}`,
    ),
  )
}

function readBucketLimit(text: string | undefined): number {
  if (text === undefined) return 10_000
  const limit = Number(text)
  if (!/^\d{1,5}$/.test(text) || limit < 1 || limit > 10_000) {
    throw new S3Error('InvalidArgument', 'max-buckets must be between 1 and 10000')
  }
  return limit
}

export async function createBucket(exchange: Exchange): Promise<void> {
  const { bucket, objects, user, scope, header, signal } = exchange
  refuseUnsupported(exchange)
  if (header('x-amz-bucket-object-lock-enabled')?.toLowerCase() === 'true') {
    throw new S3Error('NotImplemented', 'Object lock is not implemented.', {
      Header: 'x-amz-bucket-object-lock-enabled',
    })
  }
  const configuration = await readOptionalXml(exchange, 'CreateBucketConfiguration')
  if (configuration !== undefined && childrenOf(configuration, 'Tags').length > 0) {
    throw new S3Error('NotImplemented', 'Tags of buckets are not implemented.')
  }
  const constraint = configuration === undefined ? undefined : textOf(configuration, 'LocationConstraint')
  if (constraint && constraint !== scope.region) {
    throw new S3Error(
      'IllegalLocationConstraintException',
      `The ${constraint} location constraint is incompatible for the region specific endpoint this request was sent to.`,
    )
  }
  await objects.createBucket(user.owner, bucket, { region: scope.region, signal })
  exchange.send(200, { Location: `/${bucket}` })
}

/** The root element of the body, undefined if there is no body. */
async function readOptionalXml(exchange: Exchange, root: string): Promise<XmlNode | undefined> {
  const { 'content-length': length, 'transfer-encoding': encoding } = exchange.request.headers
  if ((length === undefined || length === '0') && encoding === undefined) return undefined
  const body = await collect(exchange.payload(exchange.payloadClaims(exchange.limits.xmlBytes)))
  return body.length === 0 ? undefined : parseXml(body, root)
}

export async function headBucket(exchange: Exchange): Promise<void> {
  const { region } = await ownBucket(exchange)
  exchange.send(200, {
    'x-amz-bucket-region': region,
    'x-amz-access-point-alias': 'false',
    'Content-Type': 'application/xml',
  })
}

export async function deleteBucket(exchange: Exchange): Promise<void> {
  await ownBucket(exchange)
  await exchange.objects.deleteBucket(exchange.bucket, exchange.signal)
  exchange.send(204, {})
}

export async function getBucketLocation(exchange: Exchange): Promise<void> {
  const { region } = await ownBucket(exchange)
  // S3's oldest region is named by an empty element.
  exchange.sendXml(xmlDocument('LocationConstraint', region === 'us-east-1' ? '' : region))
}
