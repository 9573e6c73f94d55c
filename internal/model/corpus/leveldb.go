package corpus

import "hash/crc32"

// tfCheckpoint is the index of a TensorFlow checkpoint with one variable of n
// floats: a table of LevelDB with a header and an entry (tensorflow/core/util/
// tensor_bundle, leveldb doc/table_format.md).
func tfCheckpoint(variable string, n int) string {
	header := pbInt(1, 1) + pb(3, pbInt(1, 1)) // one shard, the version of its writer
	entry := pbInt(1, 1) + pb(2, pb(2, pbInt(1, n))) + pbInt(5, 4*n)
	data := tableBlock("", header, variable, entry)
	meta := tableBlock()
	file := data + meta
	index := tableBlock(variable, varint(0)+varint(len(data)-tableTrail))
	file += index
	footer := varint(len(data)) + varint(len(meta)-tableTrail) + varint(len(data)+len(meta)) + varint(len(index)-tableTrail)
	return file + string(append([]byte(footer), make([]byte, 40-len(footer))...)) + "\x57\xfb\x80\x8b\x24\x75\x47\xdb"
}

// tableTrail is what follows a block: how it is packed, and a checksum.
const tableTrail = 5

// tableBlock is a block of keys and values in turn, not packed.
func tableBlock(keysAndValues ...string) string {
	block := ""
	for i := 0; i < len(keysAndValues); i += 2 {
		key, value := keysAndValues[i], keysAndValues[i+1]
		block += varint(0) + varint(len(key)) + varint(len(value)) + key + value
	}
	block += le32(0) + le32(1) // one place to start from
	block += "\x00"
	sum := crc32.Checksum([]byte(block), crc32.MakeTable(crc32.Castagnoli))
	return block + le32(int((sum>>15|sum<<17)+0xa282ead8))
}
