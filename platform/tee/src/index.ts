export { gramineQuotes, type QuoteSource, tsmQuotes } from './quote-source.ts'
export { type ReportSubject, reportData } from './report-data.ts'
export { TeeError, type TeeErrorCode } from './tee-error.ts'
