import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { S3Error } from './s3-error.ts'

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/'

/** A whole answer: declaration and root element in S3's namespace. */
export function xmlDocument(root: string, content: string): string {
  return `${DECLARATION}<${root} xmlns="${NAMESPACE}">${content}</${root}>`
}

/** An answer without a namespace: errors have none. */
export function xmlErrorDocument(content: string): string {
  return `${DECLARATION}<Error>${content}</Error>`
}

/** One element with text, or nothing if the value is undefined. */
export function element(name: string, value: string | number | boolean | undefined): string {
  return value === undefined ? '' : `<${name}>${typeof value === 'string' ? escapeXml(value) : value}</${name}>`
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what has to be escaped
const SPECIAL = /[&<>"'\u0000-\u001f\u007f\ufffe\uffff]/
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what has to be escaped
const EVERY_SPECIAL = /[&<>"'\u0000-\u001f\u007f\ufffe\uffff]/g

/**
 * Control characters become numeric references, as S3 writes them, although XML 1.0 has no such characters: clients that
 * care ask for `encoding-type=url`. References also keep CR and LF from being normalised away.
 */
export function escapeXml(text: string): string {
  return SPECIAL.test(text) ? text.replace(EVERY_SPECIAL, escapeCharacter) : text
}

function escapeCharacter(character: string): string {
  switch (character) {
    case '&':
      return '&amp;'
    case '<':
      return '&lt;'
    case '>':
      return '&gt;'
    case '"':
      return '&quot;'
    default:
      return `&#${character.charCodeAt(0)};`
  }
}

/** What a request's XML is read into: text, or elements by name, each a list. */
export type XmlNode = string | { readonly [name: string]: readonly XmlNode[] | undefined }

// Entities are left alone by the parser and decoded by `unescapeXml`: nothing a client declares is ever expanded.
const parser = new XMLParser({
  ignoreAttributes: true,
  removeNSPrefix: true,
  parseTagValue: false,
  trimValues: false,
  processEntities: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
  alwaysCreateTextNode: false,
  isArray: () => true,
})

/**
 * The root element of a request body. Sizes are capped by the caller; documents with a DOCTYPE are refused, so there are no
 * entities but the five of XML.
 *
 * @throws S3Error MalformedXML
 */
export function parseXml(body: Uint8Array, root: string): XmlNode {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    throw new S3Error('MalformedXML', 'The XML you provided is not UTF-8.')
  }
  if (text.includes('<!DOCTYPE') || text.includes('<!ENTITY')) {
    throw new S3Error('MalformedXML', 'The XML you provided declares a document type, which is not allowed.')
  }
  if (XMLValidator.validate(text) !== true) throw new S3Error('MalformedXML')
  let document: { readonly [name: string]: readonly XmlNode[] | undefined }
  try {
    document = parser.parse(text)
  } catch {
    throw new S3Error('MalformedXML')
  }
  const found = document[root]
  if (found?.length !== 1) throw new S3Error('MalformedXML', `The XML you provided is not a ${root}.`)
  return found[0]!
}

/** Elements of this name inside `node`; none if it holds text. */
export function childrenOf(node: XmlNode, name: string): readonly XmlNode[] {
  return typeof node === 'string' ? [] : (node[name] ?? [])
}

/** Text of the one element of this name, undefined if absent. */
export function textOf(node: XmlNode, name: string): string | undefined {
  const [child, another] = childrenOf(node, name)
  if (child === undefined) return undefined
  if (another !== undefined || typeof child !== 'string') {
    throw new S3Error('MalformedXML', `The XML you provided has no single text in ${name}.`)
  }
  return unescapeXml(child)
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function unescapeXml(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&([^;&]{0,10});?/g, (whole, name: string) => {
    const entity = ENTITIES[name]
    if (whole.endsWith(';')) {
      if (entity !== undefined) return entity
      const code = /^#x[0-9a-fA-F]+$/.test(name)
        ? Number.parseInt(name.slice(2), 16)
        : /^#[0-9]+$/.test(name)
          ? Number.parseInt(name.slice(1), 10)
          : Number.NaN
      if (code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff)) return String.fromCodePoint(code)
    }
    throw new S3Error('MalformedXML', `The XML you provided has an unknown entity: ${whole}`)
  })
}
