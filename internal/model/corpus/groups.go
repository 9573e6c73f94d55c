package corpus

func maliciousGroups() []group {
	return []group{
		globalReduce, instCalls, objCalls, newObjCalls, stackGlobals, stackJuggling, resultPopped, buildStates,
		computedGlobals, dottedReexports, extRegistry, persistentIDs, gadgetsOfTheLibrary, gadgetsOfOthers,
		brokenTails, frameTricks, memoConfusion, multiStreams, nestedPickles, noProto, opcodeFloods, protocol5,
		parserDifferentials, sizePadding, stringEscapes,
		zipCRC, zipFlagBits, zipHeaderMismatch, zipDuplicates, zipFakeEnds, zipNames, zipPrefixes, zipTrailers,
		zipVersions, zipEncrypted, zipConcatenated, sevenZipTricks,
		nestedArchives, pathTraversals, bombs, compressedPickles, webDatasets, marFiles,
	}
}

func benignGroups() []group {
	return []group{}
}
